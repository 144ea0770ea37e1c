"""What makes many nodes one floor: their places, their rooms and their sessions."""
