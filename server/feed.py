"""The live feed: settled bets of all games for everybody who watches, a sample where they are many.

It looks at whole commits, after their answers have left. Of a moment those bets are kept that won
most, so that what is rare shows. While nobody watches, one write of each commit is looked at: the
lists stay fresh, and cost next to nothing.

Of several nodes each tells all others what it kept of a moment. What comes together from all of
them is a moment again, of which as much is kept, so that nobody is told more often.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from heapq import heappush, heapreplace, nlargest
from typing import Any, Final, TypeVar

import msgspec

from actors.decision import Decision
from actors.runtime.ports import Write
from actors.wallet.facts import SETTLE, Entry
from protocol.commands.feed import Feed, FeedBet, FeedJoined
from protocol.commands.floor import Game
from protocol.errors import Failure
from protocol.socketio import MAIN_NAMESPACE
from server.hub import Hub

ROOM: Final = "feed"
# Twenty bets a second, as many as an eye follows, told four times a second.
MOMENT_S: Final = 0.25
MOST_OF_MOMENT: Final = 5
# What a client shows when it comes: a screen of each.
MAX_RECENT: Final = 20
MAX_HIGH: Final = 20
HIGH_FOR_MS: Final = 86_400_000
# Names that are kept: those of the players of a moment, many times over. The oldest is forgotten
# first, and looked up again.
MAX_NAMES: Final = 10_000
# Who watches on one node says so to all this often, while there are no bets to tell; and is
# believed for twice as long. In moments.
SAY_AGAIN: Final = 4
BELIEVED: Final = 2 * SAY_AGAIN
# Payouts of all currencies are compared by how much of the highest stake they are: so many parts.
_PARTS: Final = 2**56

FindNames = Callable[[Collection[int]], Awaitable[Mapping[int, str]]]
"""Usernames by user. Raises Failure `storage_unavailable`."""
_Bet = TypeVar("_Bet")


class Moment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one node kept of a moment, and whether anybody watches there."""

    watched: bool
    bets: list[FeedBet]
    skipped: int


class LiveFeed:
    """What the feed's room is told, and what those get who come."""

    def __init__(self, hub: Hub, find_names: FindNames, most_stakes: Mapping[str, int]) -> None:
        self._hub = hub
        self._find_names = find_names
        self._weights = {code: _PARTS // most for code, most in most_stakes.items()}
        # Of this node's moment: how high, a number that tells equals apart, and the entry; lowest
        # first.
        self._moment: list[tuple[int, int, Entry]] = []
        self._taken = 0
        self._skipped = 0
        # The same of all nodes' moment, and how many bets are not among them.
        self._kept: list[tuple[int, int, FeedBet]] = []
        self._left_out = 0
        # How others are told; None on a node that is alone.
        self._share: Callable[[Moment], None] | None = None
        self._unsaid = SAY_AGAIN
        # For how many moments more somebody is believed to watch on another node.
        self._watched_elsewhere = 0
        self._names: dict[int, str] = {}
        self._recent: deque[FeedBet] = deque(maxlen=MAX_RECENT)
        self._high: list[tuple[int, int, FeedBet]] = []
        # Bets of lists that were joined with ours, of which this node may be told yet.
        self._foreseen: set[tuple[object, ...]] = set()

    def share(self, tell_others: Callable[[Moment], None]) -> None:
        """Have other nodes told of this one's moments from now on."""
        self._share = tell_others

    @property
    def _watched(self) -> bool:
        """Whether anybody watches here."""
        return self._hub.occupied(MAIN_NAMESPACE, ROOM)

    def committed(self, writes: Sequence[Write]) -> None:
        """Look at what is durable now."""
        if not (self._watched or self._watched_elsewhere):
            writes = writes[-1:]
        moment, lost = self._moment, 0
        for write in writes:
            outcome = write.outcome
            if type(outcome) is Decision:
                for fact in outcome.facts:
                    if type(fact) is not Entry:
                        continue
                    play = fact.bet or (fact.step if fact.kind == SETTLE else None)
                    if play is None:
                        continue
                    # Most bets are lost, and a full moment takes none of those.
                    if play.payout_minor or len(moment) < MOST_OF_MOMENT:
                        self._take(fact, play.payout_minor or 0)
                    else:
                        lost += 1
        self._skipped += lost

    def _height(self, payout_minor: int, currency: str) -> int:
        """How high a payout is among those of all currencies."""
        return payout_minor * self._weights.get(currency, 0)

    def _take(self, entry: Entry, payout_minor: int) -> None:
        self._taken += 1
        one = (self._height(payout_minor, entry.currency), self._taken, entry)
        self._skipped += _keep_highest(self._moment, one)

    async def tell(self) -> None:
        """End a moment: what was kept of it joins the lists, and whoever watches is told."""
        bets, skipped = await self._end_moment()
        self._tell_others(bets, skipped)
        self._left_out += skipped
        for bet in bets:
            self._keep(bet)
        kept, self._kept = self._kept, []
        if not kept:
            return
        left_out, self._left_out = self._left_out, 0
        # In the order in which they were settled.
        kept.sort(key=lambda seen: (seen[2].at_ms, seen[1]))
        new = [seen for seen in kept if _identity(seen[2]) not in self._foreseen]
        for _height, _number, bet in new:
            self._recent.appendleft(bet)
        self._climb(new)
        joined = FeedJoined(bets=[bet for _height, _number, bet in kept], skipped=left_out)
        self._hub.emit(MAIN_NAMESPACE, ROOM, "feed:joined", joined)

    async def _end_moment(self) -> tuple[list[FeedBet], int]:
        """This node's bets of a moment in their order, and how many more there were."""
        if not self._moment:
            return [], 0
        moment, self._moment = self._moment, []
        skipped, self._skipped = self._skipped, 0
        try:
            names = await self._names_of({entry.wallet_id for _height, _number, entry in moment})
        except Failure:
            self._skipped += skipped + len(moment)
            raise
        moment.sort(key=lambda seen: seen[1])
        bets = [_shown(entry, names[entry.wallet_id]) for _height, _number, entry in moment]
        return bets, skipped

    # Other nodes.

    def _tell_others(self, bets: list[FeedBet], skipped: int) -> None:
        if self._share is None:
            return
        self._watched_elsewhere = max(0, self._watched_elsewhere - 1)
        self._unsaid += 1
        watched = self._watched
        if bets or (watched and self._unsaid >= SAY_AGAIN):
            self._unsaid = 0
            self._share(Moment(watched, bets, skipped))

    def heard(self, moment: Moment) -> None:
        """Another node's moment: it ends here with our own."""
        if moment.watched:
            self._watched_elsewhere = BELIEVED
        self._left_out += moment.skipped
        for bet in moment.bets:
            self._keep(bet)

    def _keep(self, bet: FeedBet) -> None:
        self._taken += 1
        one = (self._height(bet.payout, bet.currency), self._taken, bet)
        self._left_out += _keep_highest(self._kept, one)

    def join_lists(self, shown: Feed) -> None:
        """Another node's lists: what ours lack of them joins them."""
        both = {_identity(bet): bet for bet in (*shown.recent, *self._recent)}
        newest = nlargest(MAX_RECENT, both.values(), key=lambda bet: bet.at_ms)
        self._recent = deque(newest, maxlen=MAX_RECENT)
        known = {_identity(bet) for _height, _number, bet in self._high}
        new = [bet for bet in shown.high if _identity(bet) not in known]
        self._climb([(self._height(bet.payout, bet.currency), 0, bet) for bet in new])
        self._foreseen = {_identity(bet) for bet in (*shown.recent, *shown.high)}

    async def _names_of(self, users: set[int]) -> dict[int, str]:
        names = self._names
        unknown = users - names.keys()
        if unknown:
            names.update(await self._find_names(unknown))
        # Before the oldest are forgotten, which may be among them.
        found = {user: names.get(user, "") for user in users}
        while len(names) > MAX_NAMES:
            del names[next(iter(names))]
        return found

    def _climb(self, bets: Sequence[tuple[int, int, FeedBet]]) -> None:
        """Add what was paid to the high bets, and let those go that are too low, or too old."""
        high = [*self._high, *(seen for seen in bets if seen[2].payout)]
        since_ms = max((bet.at_ms for _height, _number, bet in (*high, *bets)), default=0)
        fresh = [seen for seen in high if seen[2].at_ms > since_ms - HIGH_FOR_MS]
        self._high = nlargest(MAX_HIGH, fresh, key=lambda seen: seen[:2])

    def shown(self) -> Feed:
        """What somebody sees who comes now."""
        return Feed(recent=list(self._recent), high=[bet for _height, _number, bet in self._high])


def _keep_highest(kept: list[tuple[int, int, _Bet]], one: tuple[int, int, _Bet]) -> bool:
    """Keep a bet if it is among the highest of a moment. Whether one was left out for it, or it."""
    if len(kept) < MOST_OF_MOMENT:
        heappush(kept, one)
        return False
    if one[0] > kept[0][0]:
        heapreplace(kept, one)
    return True


def _identity(bet: FeedBet) -> tuple[object, ...]:
    """By what a bet is known again. Two of one player in one millisecond may be taken for one."""
    return msgspec.structs.astuple(bet)


def _shown(entry: Entry, player: str) -> FeedBet:
    play: Any = entry.bet or entry.step
    return FeedBet(
        player=player,
        game=Game(play.game),
        currency=entry.currency,
        stake=play.stake_minor,
        payout=play.payout_minor,
        multiplier=play.payout_minor * 100 // play.stake_minor,
        at_ms=entry.at_ms,
    )
