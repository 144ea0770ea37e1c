"""Plinko: a ball turns left or right at each row of pins; its bucket has a multiplier."""
