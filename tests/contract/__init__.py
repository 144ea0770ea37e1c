"""One suite per port of the runtime, run on the in-memory twin and on a real PostgreSQL."""
