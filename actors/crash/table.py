"""A crash table as its operators configure it."""

from typing import Final

import msgspec

from actors.crash.odds import EDGE_PERCENT, MOST_MULTIPLIER
from protocol.bounds import MAX_MINOR
from protocol.money import CURRENCIES

# It stands above a curve on a small screen.
MAX_NAME_CHARS: Final = 32


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table's rules: money in minor units, multipliers in hundredths, times in milliseconds.

    What a bet and a round may win at most are shares of the bankroll: who would win more is cashed
    out where the bound is reached.
    """

    number: int
    name: str
    currency: str
    least_stake: int
    most_stake: int
    bankroll: int
    bet_share_percent: int = 1
    round_share_percent: int = 5
    edge_percent: int = EDGE_PERCENT
    most_multiplier: int = MOST_MULTIPLIER
    betting_ms: int = 5_000
    pause_ms: int = 3_000
    tick_ms: int = 250
    # Bets in one round: what ends them at once must not hold the loop for long.
    max_bets: int = 5_000
    # A closed table brings its round to an end, and opens none.
    closed: bool = False

    @property
    def most_profit_minor(self) -> int:
        """The most that one bet may win beyond its stake."""
        return self.bankroll * self.bet_share_percent // 100

    @property
    def most_round_profit_minor(self) -> int:
        """The most that all bets of a round may win together beyond their stakes."""
        return self.bankroll * self.round_share_percent // 100

    def problems(self) -> list[str]:
        """What is unsound about it, in words; empty if nothing is."""
        bounds = (
            ("number", self.number, 1, 999_999),
            ("least_stake", self.least_stake, 1, self.most_stake),
            ("most_stake", self.most_stake, 1, MAX_MINOR),
            ("bankroll", self.bankroll, 1, MAX_MINOR),
            ("bet_share_percent", self.bet_share_percent, 1, 100),
            ("round_share_percent", self.round_share_percent, 1, 100),
            ("edge_percent", self.edge_percent, 0, 99),
            ("most_multiplier", self.most_multiplier, 101, MOST_MULTIPLIER),
            ("betting_ms", self.betting_ms, 100, 600_000),
            ("pause_ms", self.pause_ms, 0, 600_000),
            # A tick goes to everybody at the table; rooms are told ten times a second at most.
            ("tick_ms", self.tick_ms, 100, 60_000),
            ("max_bets", self.max_bets, 1, 10_000),
        )
        found = [
            f"{name} must be from {least} to {most}, not {value}"
            for name, value, least, most in bounds
            if not least <= value <= most
        ]
        if self.currency not in CURRENCIES:
            found.append(f"{self.currency} is not a currency; there are {', '.join(CURRENCIES)}")
        if self.most_stake > 100 * self.most_profit_minor:
            # It would be given back at 1.00, even where the round ends there: no bet at all.
            found.append(f"a stake of {self.most_stake} cannot win a hundredth of it")
        if not 1 <= len(self.name) <= MAX_NAME_CHARS:
            found.append(f"the name must have 1 to {MAX_NAME_CHARS} characters")
        return [f"crash table {self.number}: {text}" for text in found]


def closed_table(number: int) -> Table:
    """A table that is not configured, which may still have something open to give back."""
    return Table(number, "Closed", "PLAY", 1, 1, 1, closed=True)
