"""The options that games have in common, and what is read from them."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

import click
import msgspec

from actors import fairness
from protocol.bounds import MAX_MINOR
from protocol.commands.seed import ClientSeed
from protocol.money import display, parse
from server.verify.report import Report, exactly

_Told = TypeVar("_Told")

# Printable ASCII, as the HMAC is keyed with the text; ours have 64 characters.
_SECRET: Final = re.compile(r"[!-~]{1,128}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
# Of a multiplier or a target; the longest one has seven digits before the point.
_HUNDREDTHS: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?")

JSON_OPTION: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; stake and payout in minor units."
)
_SEED_OPTIONS: Final = (
    click.option("--server-seed", required=True, help="The server seed that was revealed."),
    click.option("--client-seed", required=True, help="The client seed of the bet."),
    click.option(
        "--nonce", required=True, type=click.IntRange(0, MAX_MINOR), help="The nonce of the bet."
    ),
    click.option("--server-seed-hash", help="The hash that was shown before the bet, to compare."),
    JSON_OPTION,
)
_STAKE_OPTIONS: Final = (
    click.option("--stake", help="The stake in units, such as 1.25, to compute the payout."),
    click.option("--currency", help="The currency of the stake."),
)


class Seeds(msgspec.Struct, frozen=True):
    """What the words of a bet are drawn from."""

    server_seed: str
    client_seed: str
    nonce: int


class Stake(msgspec.Struct, frozen=True):
    """A stake in minor units of its currency."""

    minor: int
    currency: str

    def report(self, payout_minor: int | None, report: Report) -> None:
        """Add the stake, and what was paid for it."""
        paid = payout_minor or 0
        report.add("currency", self.currency)
        report.add("stake", self.minor)
        report.add("payout", paid)
        report.say("stake", f"{display(self.minor, self.currency)} {self.currency}")
        report.say("payout", f"{display(paid, self.currency)} {self.currency}")


def seeded(game: Callable[..., Report]) -> Callable[..., None]:
    """A command of a game that draws from a seed pair, from its report on given seeds."""

    @wraps(game)
    def command(
        server_seed: str,
        client_seed: str,
        nonce: int,
        server_seed_hash: str | None,
        as_json: bool,
        **own: Any,
    ) -> None:
        _check_server_seed(server_seed)
        _check_client_seed(client_seed)
        report = game(Seeds(server_seed, client_seed, nonce), **own)
        commitment = fairness.seed_hash(server_seed)
        report.add("server_seed_hash", commitment)
        report.say("server seed hash", commitment)
        if server_seed_hash is not None:
            matches = server_seed_hash.strip().lower() == commitment
            report.check("server_seed_hash_matches", matches, "the one that was shown")
        report.show(as_json=as_json)

    return _with_options(command, _SEED_OPTIONS)


def staked(game: Callable[..., _Told]) -> Callable[..., _Told]:
    """Have a game take one `stake`, or None, instead of the options of a stake and a currency."""

    @wraps(game)
    def with_stake(*given: Any, stake: str | None, currency: str | None, **own: Any) -> _Told:
        return game(*given, stake=_stake(stake, currency), **own)

    return _with_options(with_stake, _STAKE_OPTIONS)


def _with_options(
    command: Callable[..., Any], options: tuple[Callable[..., Any], ...]
) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


def _stake(stake: str | None, currency: str | None) -> Stake | None:
    if (stake is None) != (currency is None):
        raise click.UsageError("--stake and --currency go together.")
    if stake is None or currency is None:
        return None
    code = currency.upper()
    try:
        return Stake(parse(stake, code), code)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--stake") from error


def _check_server_seed(text: str) -> None:
    if not _SECRET.fullmatch(text):
        raise click.BadParameter(
            "a server seed is printable ASCII without spaces", param_hint="--server-seed"
        )


def hash_of(text: str, option: str) -> str:
    """A SHA-256 in hexadecimal, in lower case."""
    found = text.strip().lower()
    if not _HASH.fullmatch(found):
        raise click.BadParameter("a hash has 64 hexadecimal digits", param_hint=option)
    return found


def hundredths(text: str, least: int, most: int, option: str) -> int:
    """A number that is written in units, in hundredths; both bounds are allowed."""
    match = _HUNDREDTHS.fullmatch(text)
    value = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else -1
    if not least <= value <= most:
        raise click.BadParameter(
            f"it is written in units, from {exactly(least)} to {exactly(most)}", param_hint=option
        )
    return value


def _check_client_seed(text: str) -> None:
    try:
        msgspec.convert(text, ClientSeed)
    except msgspec.ValidationError as error:
        raise click.BadParameter(
            "a client seed is 1 to 64 characters of printable ASCII without spaces and colons",
            param_hint="--client-seed",
        ) from error
