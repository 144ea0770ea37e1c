"""Tests, from unit tables of one rule to real processes with real clients."""
