"""Payload formats: bytes to records, each a mapping of fields with the time that the format itself carries."""
