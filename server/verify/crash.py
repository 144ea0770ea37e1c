"""`pitboss verify crash`."""

from typing import Final

import click

from actors.crash.chain import before, is_public_seed
from actors.crash.odds import EDGE_PERCENT, LEAST_MULTIPLIER, MOST_MULTIPLIER
from actors.crash.verify import Cashout, position_of
from actors.crash.verify import verify as compute
from server.verify.options import JSON_OPTION, Stake, hash_of, hundredths, staked
from server.verify.report import Report, exactly, number

# The first line tells click to leave the others as they are.
_EXAMPLES: Final = """\b
For example:
  pitboss verify crash --hash H --public-seed P
  pitboss verify crash --hash H --public-seed P --terminal-hash T \\
    --cashout 1.50 --stake 1.00 --currency USD
"""


@click.command(epilog=_EXAMPLES)
@click.option("--hash", "round_hash", required=True, help="The hash of the round.")
@click.option("--public-seed", required=True, help="The public seed of its chain.")
@click.option("--previous-hash", help="The hash of the round before, to compare.")
@click.option("--terminal-hash", help="The hash that was published for the chain, to compare.")
@click.option(
    "--edge-percent",
    type=click.IntRange(0, 99),
    default=EDGE_PERCENT,
    show_default=True,
    help="The table's edge.",
)
@click.option(
    "--most-multiplier",
    default=exactly(MOST_MULTIPLIER),
    show_default=True,
    help="The table's highest multiplier.",
)
@click.option("--cashout", help="Where a player cashed out, in units: 1.50.")
@JSON_OPTION
@staked
def crash(
    *,
    round_hash: str,
    public_seed: str,
    previous_hash: str | None,
    terminal_hash: str | None,
    edge_percent: int,
    most_multiplier: str,
    cashout: str | None,
    as_json: bool,
    stake: Stake | None,
) -> None:
    """Compute where a crash round bust, and what a cash-out paid.

    A round's hash is revealed when it is over, and its SHA-256 is the hash of the round before. The
    exit code is 1 if it does not lead to the hash that it is compared with.
    """
    round_hash = hash_of(round_hash, "--hash")
    if not is_public_seed(public_seed):
        raise click.BadParameter(
            "a public seed is 1 to 128 printable ASCII characters without spaces",
            param_hint="--public-seed",
        )
    out = _cashout(cashout, stake)
    cap = hundredths(most_multiplier, LEAST_MULTIPLIER, MOST_MULTIPLIER, "--most-multiplier")
    verified = compute(round_hash, public_seed, edge_percent, cap, out)
    report = Report()
    report.add("result", number(exactly(verified.bust)))
    report.say("bust", exactly(verified.bust))
    if out is not None:
        report.add("cashout", number(exactly(out.multiplier)))
        report.add("won", verified.won)
        report.say(f"cash-out {exactly(out.multiplier)}", "won" if verified.won else "lost")
    if stake is not None:
        stake.report(verified.payout_minor, report)
    _compare(report, round_hash, previous_hash, terminal_hash)
    report.show(as_json=as_json)


def _cashout(cashout: str | None, stake: Stake | None) -> Cashout | None:
    if cashout is not None:
        at = hundredths(cashout, LEAST_MULTIPLIER, MOST_MULTIPLIER, "--cashout")
        return Cashout(at, stake.minor if stake else None)
    if stake is not None:
        raise click.UsageError("A payout needs --cashout.")
    return None


def _compare(
    report: Report, round_hash: str, previous_hash: str | None, terminal_hash: str | None
) -> None:
    earlier = before(round_hash)
    report.add("previous_hash", earlier)
    report.say("previous hash", earlier)
    if previous_hash is not None:
        matches = earlier == hash_of(previous_hash, "--previous-hash")
        report.check("previous_hash_matches", matches, "the one of the round before")
    if terminal_hash is not None:
        position = position_of(round_hash, hash_of(terminal_hash, "--terminal-hash"))
        report.add("position", position)
        if position is not None:
            report.say("position", f"round {position} of its chain")
        report.check("terminal_hash_matches", position is not None, "leads to the terminal hash")
