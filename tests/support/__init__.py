"""What tests stand on: real servers and real clients, started on demand."""
