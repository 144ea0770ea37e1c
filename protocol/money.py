"""Money: integers of minor units and a currency with a known exponent. Never a float."""

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
