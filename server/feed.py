"""The live feed: settled bets of all games for everybody who watches, a sample where they are many.

It looks at whole commits, after their answers have left. Of a moment those bets are kept that won
most, so that what is rare shows. While nobody watches, one write of each commit is looked at: the
lists stay fresh, and cost next to nothing.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from heapq import heappush, heapreplace, nlargest
from typing import Any, Final

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
# Payouts of all currencies are compared by how much of the highest stake they are: so many parts.
_PARTS: Final = 2**56

FindNames = Callable[[Collection[int]], Awaitable[Mapping[int, str]]]
"""Usernames by user. Raises Failure `storage_unavailable`."""


class LiveFeed:
    """What the feed's room is told, and what those get who come."""

    def __init__(self, hub: Hub, find_names: FindNames, most_stakes: Mapping[str, int]) -> None:
        self._hub = hub
        self._find_names = find_names
        self._weights = {code: _PARTS // most for code, most in most_stakes.items()}
        # Of this moment: how high, a number that tells equals apart, and the entry; lowest first.
        self._moment: list[tuple[int, int, Entry]] = []
        self._taken = 0
        self._skipped = 0
        self._names: dict[int, str] = {}
        self._recent: deque[FeedBet] = deque(maxlen=MAX_RECENT)
        self._high: list[tuple[int, int, FeedBet]] = []

    def committed(self, writes: Sequence[Write]) -> None:
        """Look at what is durable now."""
        if not self._hub.occupied(MAIN_NAMESPACE, ROOM):
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

    def _take(self, entry: Entry, payout_minor: int) -> None:
        height = payout_minor * self._weights.get(entry.currency, 0)
        moment = self._moment
        self._taken += 1
        if len(moment) < MOST_OF_MOMENT:
            heappush(moment, (height, self._taken, entry))
        else:
            self._skipped += 1
            if height > moment[0][0]:
                heapreplace(moment, (height, self._taken, entry))

    async def tell(self) -> None:
        """End a moment: what was kept of it joins the lists, and whoever watches is told."""
        if not self._moment:
            return
        moment, self._moment = self._moment, []
        skipped, self._skipped = self._skipped, 0
        try:
            names = await self._names_of({entry.wallet_id for _height, _number, entry in moment})
        except Failure:
            self._skipped += skipped + len(moment)
            raise
        # In the order in which they were settled.
        moment.sort(key=lambda seen: seen[1])
        bets = []
        for height, number, entry in moment:
            bet = _shown(entry, names[entry.wallet_id])
            bets.append(bet)
            self._recent.appendleft(bet)
            if bet.payout:
                self._high.append((height, number, bet))
        self._forget(moment[-1][2].at_ms)
        joined = FeedJoined(bets=bets, skipped=skipped)
        self._hub.emit(MAIN_NAMESPACE, ROOM, "feed:joined", joined)

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

    def _forget(self, now_ms: int) -> None:
        fresh = [seen for seen in self._high if seen[2].at_ms > now_ms - HIGH_FOR_MS]
        self._high = nlargest(MAX_HIGH, fresh, key=lambda seen: seen[:2])

    def shown(self) -> Feed:
        """What somebody sees who comes now."""
        return Feed(recent=list(self._recent), high=[bet for _height, _number, bet in self._high])


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
