"""Money: integers of minor units and a currency with a known exponent. Never a float."""

import re
from enum import Enum
from typing import Annotated, Final

import msgspec

from protocol.bounds import MAX_MINOR

Minor = Annotated[int, msgspec.Meta(ge=1, le=MAX_MINOR)]
"""An amount that moves: at least one minor unit."""


class CurrencyClass(Enum):
    """What a currency is, which decides its exponent and who may create it."""

    FIAT = "fiat"
    CRYPTO = "crypto"
    PLAY = "play"


class Currency(msgspec.Struct, frozen=True):
    """A currency: 10**exponent minor units make one."""

    code: str
    exponent: int
    class_: CurrencyClass
    name: str


def _currencies(*entries: Currency) -> dict[str, Currency]:
    return {entry.code: entry for entry in entries}


CURRENCIES: Final = _currencies(
    Currency("USD", 2, CurrencyClass.FIAT, "US dollar"),
    Currency("EUR", 2, CurrencyClass.FIAT, "Euro"),
    Currency("GBP", 2, CurrencyClass.FIAT, "Pound sterling"),
    Currency("BTC", 8, CurrencyClass.CRYPTO, "Bitcoin"),
    Currency("ETH", 8, CurrencyClass.CRYPTO, "Ether"),
    Currency("USDT", 8, CurrencyClass.CRYPTO, "Tether"),
    Currency("PLAY", 2, CurrencyClass.PLAY, "Play credits"),
)


def display(minor: int, currency: str) -> str:
    """`125`, `USD` as people write it: `1.25`. Exact; raises KeyError for an unknown currency."""
    exponent = CURRENCIES[currency].exponent
    whole, fraction = divmod(abs(minor), 10**exponent)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{fraction:0{exponent}d}"


# Sixteen digits hold MAX_MINOR, whatever the exponent; longer text is refused unread.
_DECIMAL: Final = re.compile(r"([0-9]{1,16})(?:\.([0-9]{1,16}))?")


def parse(text: str, currency: str) -> int:
    """`1.25`, `USD` in minor units: 125. Exact, without floats.

    Raises:
        ValueError: The currency is unknown, or the text is not a plain decimal number that moves
            (from one minor unit to MAX_MINOR) with at most the currency's decimals.
    """
    known = CURRENCIES.get(currency)
    if known is None:
        raise ValueError(f"{currency} is not a currency here; there are {', '.join(CURRENCIES)}")
    match = _DECIMAL.fullmatch(text)
    whole, fraction = match.groups("") if match else ("", "")
    if not match or len(fraction) > known.exponent:
        raise ValueError(
            f"an amount of {currency} is written like {display(125, currency)},"
            f" with at most {known.exponent} decimals"
        )
    minor = int(whole + fraction.ljust(known.exponent, "0"))
    if not 1 <= minor <= MAX_MINOR:
        least, most = display(1, currency), display(MAX_MINOR, currency)
        raise ValueError(f"an amount of {currency} is from {least} to {most}")
    return minor
