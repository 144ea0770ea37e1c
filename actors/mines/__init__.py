"""Mines: 25 tiles, some of them mined; each safe pick raises what a cash-out pays."""
