"""The HTTP door: the same commands as on sockets, and the pages for people and machines."""
