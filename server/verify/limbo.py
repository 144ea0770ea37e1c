"""`pitboss verify limbo`."""

from typing import Final

import click

from actors.limbo.odds import LEAST_MULTIPLIER, MOST_MULTIPLIER
from actors.limbo.verify import Choice
from actors.limbo.verify import verify as compute
from server.verify.options import Seeds, Stake, hundredths, seeded, staked
from server.verify.report import Report, exactly, number

# The first line tells click to leave the others as they are.
_EXAMPLES: Final = """\b
For example:
  pitboss verify limbo --server-seed S --client-seed C --nonce 0
  pitboss verify limbo --server-seed S --client-seed C --nonce 0 \\
    --target 2.50 --stake 1.00 --currency USD
"""


@click.command(epilog=_EXAMPLES)
@seeded
@click.option("--target", help="The target in units: 2.50 (250 in the bet).")
@staked
def limbo(seeds: Seeds, *, target: str | None, stake: Stake | None) -> Report:
    """Compute the result of a limbo bet, and what it came to.

    The exit code is 1 if the server seed does not have the hash that was shown.
    """
    choice = _choice(target, stake)
    try:
        verified = compute(seeds.server_seed, seeds.client_seed, seeds.nonce, choice)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from error
    report = Report()
    report.add("result", number(exactly(verified.result)))
    report.say("result", exactly(verified.result))
    if choice is not None:
        report.add("target", number(exactly(choice.target)))
        report.add("won", verified.won)
        report.say(f"target {exactly(choice.target)}", "won" if verified.won else "lost")
    if stake is not None:
        stake.report(verified.payout_minor, report)
    return report


def _choice(target: str | None, stake: Stake | None) -> Choice | None:
    if target is not None:
        at = hundredths(target, LEAST_MULTIPLIER, MOST_MULTIPLIER, "--target")
        return Choice(at, stake.minor if stake else None)
    if stake is not None:
        raise click.UsageError("A payout needs --target.")
    return None
