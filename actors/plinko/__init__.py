"""Plinko: a ball turns left or right at each row of pins; the bucket it reaches has a multiplier."""
