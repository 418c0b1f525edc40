"""Where outputs end: the local SQLite store, InfluxDB, and the devices' alert topics."""
