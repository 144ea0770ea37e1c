"""Servers to be measured beside, each a program of its own that says where it listens.

Some only answer echoes: they let anybody into the main namespace and acknowledge the event `echo`
with its arguments. The others settle dice bets as Pitboss does, for players with tokens.
"""
