"""Properties: what holds whatever is done, tried on many random sequences."""
