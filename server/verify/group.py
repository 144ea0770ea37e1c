"""`pitboss verify` and its games."""

import click

from server.verify.crash import crash
from server.verify.dice import dice
from server.verify.limbo import limbo
from server.verify.mines import mines
from server.verify.plinko import plinko


@click.group()
def verify() -> None:
    """Compute a bet again from its seeds, or a crash round from its hash.

    The server seed is revealed by `seed:rotate`; `bet:get` shows it with the client seed and the
    nonce. A crash round's hash is shown when it is over. Everything is computed here: no server and
    no database are asked.
    """


for game in (dice, limbo, plinko, mines, crash):
    verify.add_command(game)
