"""Rooms: who is inside, what waits for them, and the passes in which large ones are served."""
