"""Limbo: a multiplier is drawn, and bets win whose target it reaches; the edge is one percent."""
