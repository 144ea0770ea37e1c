"""Crash: one rising multiplier for a table, and the chain of hashes that says where it ends."""
