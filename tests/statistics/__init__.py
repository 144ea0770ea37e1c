"""What the games return to their players, over many draws."""
