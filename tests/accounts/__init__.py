"""Accounts and sessions on a real PostgreSQL."""
