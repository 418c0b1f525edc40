"""Options of the charts, from data alone. Pure."""
