"""A whole node in this process, on a real database, met by real clients."""
