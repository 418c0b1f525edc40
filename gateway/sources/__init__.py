"""Sources: sensors that speak something else than the wire contract, made into its rows. Pure: no I/O, no clock."""
