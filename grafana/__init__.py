"""Dashboards, alert rules and data sources of Grafana, generated from the channel tables and the shelves."""
