"""The live feed: what players of all games win and lose, a sample of it where there is much."""

from protocol.commands.floor import Game
from protocol.commands.shape import Answer, Command, Event


class WatchFeed(Command):
    """Get the feed's events on this socket from now on, and the recent and the high bets."""


class UnwatchFeed(Command):
    """Get no more of the feed's events on this socket."""


class GetFeed(Command):
    """The recent and the high bets of all games."""


class FeedBet(Answer):
    """A settled bet as everybody sees it. The multiplier is in hundredths, 0 for a loss."""

    player: str
    game: Game
    currency: str
    stake: int
    payout: int
    multiplier: int
    at_ms: int


class Feed(Answer):
    """Bets of the feed: `recent` newest first, `high` of the last day by what they won."""

    recent: list[FeedBet]
    high: list[FeedBet]


class FeedWatching(Answer):
    """What a socket watches is changed."""

    watching: bool


class FeedJoined(Event):
    """Bets that were settled since the last time; `skipped` were too many to tell."""

    bets: list[FeedBet]
    skipped: int
