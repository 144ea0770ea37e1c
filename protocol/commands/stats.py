"""What you have played: how much, and how it went."""

from protocol.commands.floor import Game
from protocol.commands.shape import Answer, Command, CurrencyCode


class GetPlayerStats(Command):
    """Your statistics, by game and currency. A bet counts when it is settled."""

    game: Game | None = None
    currency: CurrencyCode | None = None


class GameStats(Answer):
    """What was played in one game and one currency, in minor units.

    `biggest_win` is the largest payout less its stake, `best_multiplier` the largest payout over
    its stake in hundredths, rounded down; both are 0 where nothing was won.
    """

    game: Game
    currency: str
    bets: int
    staked: int
    paid: int
    net: int
    biggest_win: int
    best_multiplier: int


class PlayerStats(Answer):
    """One entry for each game and currency that was played. `upto` is the newest entry counted."""

    stats: list[GameStats]
    upto: int
