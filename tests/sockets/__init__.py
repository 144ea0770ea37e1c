"""The socket layer on real network connections, with real clients and with raw ones."""
