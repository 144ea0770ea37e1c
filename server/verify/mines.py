"""`pitboss verify mines`."""

from typing import Final

import click

from actors.mines.odds import MOST_MINES, TILES
from actors.mines.verify import verify as compute
from server.verify.options import Seeds, Stake, seeded, staked
from server.verify.report import Report, exactly, number

# The first line tells click to leave the others as they are.
_EXAMPLES: Final = """\b
For example:
  pitboss verify mines --server-seed S --client-seed C --nonce 0 --mines 3
  pitboss verify mines --server-seed S --client-seed C --nonce 0 --mines 3 \\
    --picked 0,7,12 --stake 1.00 --currency USD
"""


@click.command(epilog=_EXAMPLES)
@seeded
@click.option("--mines", required=True, type=click.IntRange(1, MOST_MINES))
@click.option("--picked", help="The tiles that were picked, in their order: 0,7,12.")
@staked
def mines(seeds: Seeds, *, mines: int, picked: str | None, stake: Stake | None) -> Report:
    """Compute where the mines of a game lay, and what picks came to.

    Tiles are 0 to 24, row by row. With --picked, a payout is that of stopping after them. The exit
    code is 1 if the server seed does not have the hash that was shown.
    """
    tiles = _tiles(picked, mines)
    if stake is not None and not tiles:
        raise click.UsageError("A payout needs --picked.")
    try:
        verified = compute(
            seeds.server_seed,
            seeds.client_seed,
            seeds.nonce,
            mines,
            tiles,
            stake.minor if stake else None,
        )
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--picked") from error
    report = Report()
    report.add("result", sorted(verified.drawn))
    report.say("mines", _listed(sorted(verified.drawn)))
    report.say("as drawn", _listed(verified.drawn))
    if verified.multiplier is not None:
        report.add("picked", tiles)
        report.add("won", verified.won)
        report.add("multiplier", number(exactly(verified.multiplier)))
        report.say("picked", _listed(tiles))
        ended = f"safe, worth {exactly(verified.multiplier)}" if verified.won else "a mine"
        report.say("", ended)
    if stake is not None:
        stake.report(verified.payout_minor, report)
    return report


def _tiles(picked: str | None, mines: int) -> list[int]:
    if picked is None:
        return []
    tiles = picked.split(",")
    # One may be a mine.
    if len(tiles) > TILES - mines + 1 or not all(_is_tile(tile.strip()) for tile in tiles):
        raise click.BadParameter(
            "tiles are 0 to 24, separated by commas, and no more than are safe",
            param_hint="--picked",
        )
    return [int(tile) for tile in tiles]


def _is_tile(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 2 and int(text) < TILES


def _listed(tiles: list[int] | tuple[int, ...]) -> str:
    return ", ".join(map(str, tiles))
