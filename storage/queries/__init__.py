"""Reads of committed rows: histories and single records. They never wait for an actor."""
