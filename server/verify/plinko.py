"""`pitboss verify plinko`."""

from typing import Final

import click

from actors.plinko.verify import verify as compute
from protocol.commands.plinko import LEAST_ROWS, MOST_ROWS, RISKS
from server.verify.options import Seeds, Stake, seeded, staked
from server.verify.report import Report, briefly, number

# The first line tells click to leave the others as they are.
_EXAMPLES: Final = """\b
For example:
  pitboss verify plinko --server-seed S --client-seed C --nonce 0 --rows 16 --risk high
"""


@click.command(epilog=_EXAMPLES)
@seeded
@click.option("--rows", required=True, type=click.IntRange(LEAST_ROWS, MOST_ROWS))
@click.option("--risk", required=True, type=click.Choice(RISKS))
@staked
def plinko(seeds: Seeds, *, rows: int, risk: str, stake: Stake | None) -> Report:
    """Compute where the ball of a plinko bet fell, and what that paid.

    The result is the multiplier; the bucket counts the turns to the right. The exit code is 1 if
    the server seed does not have the hash that was shown.
    """
    verified = compute(
        seeds.server_seed,
        seeds.client_seed,
        seeds.nonce,
        rows,
        risk,
        stake.minor if stake else None,
    )
    report = Report()
    report.add("result", number(briefly(verified.multiplier)))
    report.add("bucket", verified.bucket)
    report.say("multiplier", briefly(verified.multiplier))
    report.say("bucket", f"{verified.bucket} of 0 to {rows}")
    report.say("turns", "".join("R" if right else "L" for right in verified.turns))
    if stake is not None:
        stake.report(verified.payout_minor, report)
    return report
