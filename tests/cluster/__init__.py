"""Three real nodes, and everything that can happen to one of them, to its network or to Redis."""
