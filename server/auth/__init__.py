"""Who is asking: passwords, tokens, sessions, and the commands that begin and end them."""
