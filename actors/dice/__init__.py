"""Dice: a roll of 0.00 to 100.00, over or under a target, with a house edge of one percent."""
