"""`pitboss verify`: bets computed again from their seeds, without a server or a database."""

import re
from typing import Any, Final

import click
import msgspec

from actors.dice.verify import Choice, Verified
from actors.dice.verify import verify as verify_dice
from protocol.commands.dice import Direction
from protocol.commands.seed import ClientSeed
from protocol.money import display, parse

# Printable ASCII, as the HMAC is keyed with the text; ours have 64 characters.
_SERVER_SEED: Final = re.compile(r"[!-~]{1,128}")
_HUNDREDTHS: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?")
# The first line tells click to leave the others as they are.
_EXAMPLES: Final = """\b
For example:
  pitboss verify dice --server-seed S --client-seed C --nonce 0
  pitboss verify dice --server-seed S --client-seed C --nonce 0 \\
    --target 50.50 --direction over --stake 1.00 --currency USD
"""


@click.group()
def verify() -> None:
    """Compute a bet again from its seeds.

    The server seed is revealed by `seed:rotate`; `bet:get` shows it with the client seed and the
    nonce. Everything is computed here: no server and no database are asked.
    """


@verify.command(epilog=_EXAMPLES)
@click.option("--server-seed", required=True, help="The server seed that was revealed.")
@click.option("--client-seed", required=True, help="The client seed of the bet.")
@click.option("--nonce", required=True, type=click.IntRange(0), help="The nonce of the bet.")
@click.option("--target", help="The target in units: 50.50 (5050 in the bet).")
@click.option("--direction", type=click.Choice([side.value for side in Direction]))
@click.option("--stake", help="The stake in units, such as 1.25, to compute the payout.")
@click.option("--currency", help="The currency of the stake.")
@click.option("--server-seed-hash", help="The hash that was shown before the bet, to compare.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; stake and payout in minor units."
)
def dice(
    server_seed: str,
    client_seed: str,
    nonce: int,
    target: str | None,
    direction: str | None,
    stake: str | None,
    currency: str | None,
    server_seed_hash: str | None,
    as_json: bool,
) -> None:
    """Compute the roll of a dice bet, and with a target what it came to.

    The exit code is 1 if the server seed does not have the hash that was shown.
    """
    _check_seeds(server_seed, client_seed)
    code = currency.upper() if currency else None
    choice = _choice(target, direction, stake, code)
    try:
        verified = verify_dice(server_seed, client_seed, nonce, choice)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--target") from error
    matches = None
    if server_seed_hash is not None:
        matches = server_seed_hash.strip().lower() == verified.server_seed_hash
    if as_json:
        click.echo(_json(verified, choice, code, matches))
    else:
        click.echo(_text(verified, choice, code, matches))
    if matches is False:
        raise click.exceptions.Exit(1)


def _check_seeds(server_seed: str, client_seed: str) -> None:
    if not _SERVER_SEED.fullmatch(server_seed):
        raise click.BadParameter(
            "a server seed is printable ASCII, 64 characters of it", param_hint="--server-seed"
        )
    try:
        msgspec.convert(client_seed, ClientSeed)
    except msgspec.ValidationError as error:
        raise click.BadParameter(
            "a client seed is 1 to 64 characters of printable ASCII without spaces and colons",
            param_hint="--client-seed",
        ) from error


def _choice(
    target: str | None, direction: str | None, stake: str | None, currency: str | None
) -> Choice | None:
    if (target is None) != (direction is None):
        raise click.UsageError("--target and --direction go together.")
    if (stake is None) != (currency is None):
        raise click.UsageError("--stake and --currency go together.")
    if target is None or direction is None:
        if stake is not None:
            raise click.UsageError("A payout needs --target and --direction.")
        return None
    stake_minor = None
    if stake is not None and currency is not None:
        try:
            stake_minor = parse(stake, currency)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--stake") from error
    return Choice(_hundredths(target), Direction(direction), stake_minor)


def _hundredths(text: str) -> int:
    match = _HUNDREDTHS.fullmatch(text)
    value = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else -1
    if not 0 <= value <= 10_000:
        raise click.BadParameter(
            "a target is written in units, from 0.00 to 100.00", param_hint="--target"
        )
    return value


def _units(hundredths: int) -> str:
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def _json(
    verified: Verified, choice: Choice | None, currency: str | None, matches: bool | None
) -> str:
    # Raw keeps the digits as they are: no float comes between the integer and the text.
    answer: dict[str, Any] = {
        "result": msgspec.Raw(_units(verified.roll).encode()),
        "server_seed_hash": verified.server_seed_hash,
    }
    if matches is not None:
        answer["server_seed_hash_matches"] = matches
    if choice is not None:
        answer["target"] = msgspec.Raw(_units(choice.target).encode())
        answer["direction"] = choice.direction.value
        answer["won"] = verified.won
        if choice.stake_minor is not None:
            answer["currency"] = currency
            answer["stake"] = choice.stake_minor
            answer["payout"] = verified.payout_minor
    return msgspec.json.format(msgspec.json.encode(answer), indent=0).decode()


def _text(
    verified: Verified, choice: Choice | None, currency: str | None, matches: bool | None
) -> str:
    lines = [f"roll              {_units(verified.roll)}"]
    if choice is not None:
        wanted = f"{choice.direction.value} {_units(choice.target)}"
        lines.append(f"{wanted:<17} {'won' if verified.won else 'lost'}")
    if choice is not None and choice.stake_minor is not None and currency is not None:
        paid = verified.payout_minor or 0
        lines.append(f"stake             {display(choice.stake_minor, currency)} {currency}")
        lines.append(f"payout            {display(paid, currency)} {currency}")
    lines.append(f"server seed hash  {verified.server_seed_hash}")
    if matches is not None:
        said = "the one that was shown" if matches else "NOT the one that was shown"
        lines.append(f"                  {said}")
    return "\n".join(lines)
