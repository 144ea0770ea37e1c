"""Money: exponents, bounds, and how minor units are written and read."""

import msgspec
import pytest

from protocol.bounds import MAX_MINOR
from protocol.money import CURRENCIES, CurrencyClass, Minor, display, parse


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (125, "USD", "1.25"),
        (0, "USD", "0.00"),
        (5, "USD", "0.05"),
        (-5, "USD", "-0.05"),
        (-12_345, "EUR", "-123.45"),
        (1, "BTC", "0.00000001"),
        (100_000_000, "BTC", "1.00000000"),
        (MAX_MINOR, "PLAY", "90071992547409.91"),
        (MAX_MINOR, "ETH", "90071992.54740991"),
    ],
)
def test_minor_units_are_written_exactly(minor: int, currency: str, text: str) -> None:
    assert display(minor, currency) == text


def test_an_unknown_currency_is_not_written() -> None:
    with pytest.raises(KeyError):
        display(1, "XXX")


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("1.25", "USD", 125),
        ("1.2", "USD", 120),
        ("1", "USD", 100),
        ("007", "USD", 700),
        ("0.00000001", "BTC", 1),
        # A float cannot hold this one.
        ("90071992547409.91", "PLAY", MAX_MINOR),
    ],
)
def test_amounts_are_read_exactly(text: str, currency: str, minor: int) -> None:
    assert parse(text, currency) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.255",
        "0.000",
        "0",
        "0.00",
        "-1",
        "+1",
        "1e3",
        "1,25",
        "1_000",
        ".5",
        "1.",
        " 1",
        "1\n",
        "nan",
        "inf",
        "٣",
        "90071992547409.92",
        "9" * 5_000,
    ],
)
def test_what_is_not_an_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount"):
        parse(text, "USD")


def test_an_amount_of_an_unknown_currency_is_refused() -> None:
    with pytest.raises(ValueError, match="currency"):
        parse("1", "XXX")


@pytest.mark.parametrize("code", CURRENCIES)
def test_exponents_follow_the_class(code: str) -> None:
    expected = {CurrencyClass.FIAT: 2, CurrencyClass.CRYPTO: 8, CurrencyClass.PLAY: 2}
    currency = CURRENCIES[code]

    assert currency.code == code
    assert currency.exponent == expected[currency.class_]


@pytest.mark.parametrize("amount", [1, MAX_MINOR])
def test_the_least_and_the_most_that_move(amount: int) -> None:
    assert msgspec.convert(amount, Minor) == amount


@pytest.mark.parametrize("amount", [0, -1, MAX_MINOR + 1, 1.0, True, "1", None])
def test_what_is_no_amount_to_move(amount: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(amount, Minor)
