"""`pitboss verify dice`."""

from typing import Final

import click

from actors.dice.verify import Choice
from actors.dice.verify import verify as compute
from protocol.commands.dice import Direction
from server.verify.options import Seeds, Stake, hundredths, seeded, staked
from server.verify.report import Report, exactly, number

# The first line tells click to leave the others as they are.
_EXAMPLES: Final = """\b
For example:
  pitboss verify dice --server-seed S --client-seed C --nonce 0
  pitboss verify dice --server-seed S --client-seed C --nonce 0 \\
    --target 50.50 --direction over --stake 1.00 --currency USD
"""


@click.command(epilog=_EXAMPLES)
@seeded
@click.option("--target", help="The target in units: 50.50 (5050 in the bet).")
@click.option("--direction", type=click.Choice([side.value for side in Direction]))
@staked
def dice(seeds: Seeds, *, target: str | None, direction: str | None, stake: Stake | None) -> Report:
    """Compute the roll of a dice bet, and with a target what it came to.

    The exit code is 1 if the server seed does not have the hash that was shown.
    """
    choice = _choice(target, direction, stake)
    try:
        verified = compute(seeds.server_seed, seeds.client_seed, seeds.nonce, choice)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from error
    report = Report()
    report.add("result", number(exactly(verified.roll)))
    report.say("roll", exactly(verified.roll))
    if choice is not None:
        report.add("target", number(exactly(choice.target)))
        report.add("direction", choice.direction.value)
        report.add("won", verified.won)
        wanted = f"{choice.direction.value} {exactly(choice.target)}"
        report.say(wanted, "won" if verified.won else "lost")
    if stake is not None:
        stake.report(verified.payout_minor, report)
    return report


def _choice(target: str | None, direction: str | None, stake: Stake | None) -> Choice | None:
    if (target is None) != (direction is None):
        raise click.UsageError("--target and --direction go together.")
    if target is not None and direction is not None:
        at = hundredths(target, 0, 10_000, "--target")
        return Choice(at, Direction(direction), stake.minor if stake else None)
    if stake is not None:
        raise click.UsageError("A payout needs --target and --direction.")
    return None
