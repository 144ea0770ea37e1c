"""`pitboss verify`: bets and rounds computed again, one file for each game."""
