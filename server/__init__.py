"""The shell: sockets, router, hub, sign-in, HTTP door, command line and the one wiring file."""
