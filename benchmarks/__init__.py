"""Load generators and the figures they print, each in its own process."""
