"""Fuzzing: made-up and mutated input against the parsers, and hostile peers against a server."""
