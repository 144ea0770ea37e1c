"""Who has been active in a room, on whatever node: each is asked, and answers within a moment."""

import asyncio
from collections.abc import Callable, Iterable
from heapq import nsmallest
from random import Random
from typing import Final

import msgspec

from actors.runtime.exchange import Exchange
from server.activity import Activity

_ASK = "active?"
_ANSWER = "active"

# How long a node has for its answer, which takes it a millisecond. Who is active on one that takes
# longer is not counted: the rain falls without them.
ANSWER_S: Final = 0.2
_DRAW_BITS: Final = 53


class _Ask(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who was active in a room within so many seconds, by the lots of a draw?"""

    number: int
    room: str
    within_s: float
    most: int
    without: int
    draw: int


class _Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """These, with their lots."""

    number: int
    lots: list[tuple[float, int]]


_decode_ask = msgspec.msgpack.Decoder(_Ask).decode
_decode_answer = msgspec.msgpack.Decoder(_Answer).decode


class _Waiting:
    """A question under way: whose answers are missing, and the lots so far."""

    __slots__ = ("answered", "lots", "missing")

    def __init__(self, missing: set[str], lots: Iterable[tuple[float, int]]) -> None:
        self.missing = missing
        self.answered = asyncio.Event()
        self.lots: dict[int, float] = {}
        self.take(lots)

    def take(self, lots: Iterable[tuple[float, int]]) -> None:
        """Count everybody once, whatever they are connected to."""
        for lot, user_id in lots:
            self.lots[user_id] = min(lot, self.lots.get(user_id, lot))


class FarActivity:
    """Activity on all members of a cluster, who are those that `members` names."""

    def __init__(
        self,
        exchange: Exchange,
        activity: Activity,
        chance: Random,
        members: Callable[[], Iterable[str]],
    ) -> None:
        self._exchange = exchange
        self._activity = activity
        self._chance = chance
        self._members = members
        self._number = 0
        # As many as there are commands being prepared at most.
        self._waiting: dict[int, _Waiting] = {}
        exchange.listen(_ASK, self._asked)
        exchange.listen(_ANSWER, self._answered)

    async def active(self, room: str, within_s: float, most: int, without: int) -> tuple[int, ...]:
        """Users who were active in a room, but for `without`; `most` of them by chance."""
        draw = self._chance.getrandbits(_DRAW_BITS)
        self._number += 1
        number = self._number
        ask = _Ask(number, room, within_s, most, without, draw)
        missing = {member for member in self._members() if member != self._exchange.me}
        waiting = _Waiting(missing, self._lots(ask))
        if missing and self._exchange.say_all(_ASK, ask):
            self._waiting[number] = waiting
            try:
                async with asyncio.timeout(ANSWER_S):
                    await waiting.answered.wait()
            except TimeoutError:
                # Whoever has not answered by now is not counted.
                pass
            finally:
                del self._waiting[number]
        chosen = nsmallest(most, ((lot, user_id) for user_id, lot in waiting.lots.items()))
        return tuple(user_id for _lot, user_id in chosen)

    def _lots(self, ask: _Ask) -> list[tuple[float, int]]:
        return self._activity.lots(ask.room, ask.within_s, ask.most, ask.without, ask.draw)

    def _asked(self, sender: str, body: msgspec.Raw) -> None:
        ask = _decode_ask(body)
        self._exchange.say(sender, _ANSWER, _Answer(ask.number, self._lots(ask)))

    def _answered(self, sender: str, body: msgspec.Raw) -> None:
        answer = _decode_answer(body)
        waiting = self._waiting.get(answer.number)
        if waiting is None:
            # It has come too late.
            return
        waiting.take(answer.lots)
        waiting.missing.discard(sender)
        if not waiting.missing:
            waiting.answered.set()
