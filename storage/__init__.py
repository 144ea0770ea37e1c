"""PostgreSQL and Redis behind the ports of the actors, and the embedded PostgreSQL itself."""
