"""How long nobody takes a bet for a wallet whose node goes or comes.

Players bet without a pause worth the name, each on a connection to the node that stays, and ask
again for what was refused for a moment. The other node is killed, started again, sent away and
started again; what is measured is the longest silence of each wallet that moved.
"""

import asyncio
import sys
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from benchmarks.nodes import Nodes, shard_of
from benchmarks.players import enlist
from benchmarks.retrying import RETRY_S, Retrying
from benchmarks.server_process import ServerError
from benchmarks.spread import Spread, spread

KILLED: Final = "killed (SIGKILL)"
LEFT: Final = "sent away (SIGTERM)"
CAME: Final = "started again"

PLAYERS: Final = 24
# Between two bets of a player: what is seen of a silence is right to this.
PAUSE_S: Final = 0.02
# Before each move, so that its players bet as ever.
_STEADY_S: Final = 1.0
_LOOK_S: Final = 0.02
_ANSWERED_LIMIT_S: Final = 60.0


class Moments:
    """When each player's bets were acknowledged, by `time.perf_counter`."""

    def __init__(self) -> None:
        self._at_s: dict[Retrying, list[float]] = defaultdict(list)

    def acknowledged(self, player: Retrying) -> None:
        """A bet was acknowledged just now."""
        self._at_s[player].append(time.perf_counter())

    def newest_s(self, player: Retrying) -> float:
        """The last acknowledgement."""
        return self._at_s[player][-1] if self._at_s[player] else float("-inf")

    def silence(self, player: Retrying, since_s: float) -> tuple[float, float]:
        """The longest time without an acknowledgement since a moment: when it began and ended."""
        every = self._at_s[player]
        first = max(0, bisect_left(every, since_s) - 1)
        return max(pairwise(every[first:]), key=lambda pair: pair[1] - pair[0])


@dataclass(frozen=True, slots=True)
class Move:
    """What one move meant for the wallets that moved, and for those that stayed; in seconds."""

    how: str
    wallets: int
    """How many players' wallets moved."""
    first_bet: float
    """From the kill, or the signal, to the end of the shortest of their silences."""
    last_bet: float
    silence: float
    """The median of their silences."""
    longest: float
    stayed: float
    """The longest silence of a wallet that stayed."""


class Moves:
    """A cluster of two nodes, the first of which stays, and its players."""

    def __init__(self, nodes: Nodes, players: Sequence[Retrying], moments: Moments) -> None:
        self._nodes = nodes
        self._stays, self._goes = nodes.nodes
        self._players = players
        self._moments = moments

    async def run(self, rounds: int) -> list[Move]:
        """Every kind of move, again and again. Raises ServerError."""
        node, found = self._goes, []
        for _ in range(rounds):
            for how, act in ((KILLED, node.kill), (CAME, node.start), (LEFT, node.leave)):
                found.append(await self._move(how, act))
            found.append(await self._move(CAME, node.start))
        return found

    async def _move(self, how: str, act: Callable[[], Awaitable[None]]) -> Move:
        await self._all_answered(time.perf_counter())
        await asyncio.sleep(_STEADY_S)
        before = await self._nodes.placed()
        began_s = time.perf_counter()
        await act()
        after = await self._nodes.placed()
        await self._all_answered(time.perf_counter())
        moved: list[tuple[float, float]] = []
        stayed: list[tuple[float, float]] = []
        for player in self._players:
            shard = shard_of(player.player.user_id)
            silence = self._moments.silence(player, began_s)
            (stayed if before[shard] == after[shard] else moved).append(silence)
        if not moved:
            raise ServerError("no player's wallet was on the node that moved")
        lengths = spread(end - begin for begin, end in moved)
        move = Move(
            how=how,
            wallets=len(moved),
            first_bet=min(end for _, end in moved) - began_s,
            last_bet=max(end for _, end in moved) - began_s,
            silence=lengths.middle,
            longest=lengths.greatest,
            stayed=max((end - begin for begin, end in stayed), default=float("nan")),
        )
        _progress(move)
        return move

    async def _all_answered(self, since_s: float) -> None:
        """Wait until everybody has had an answer since a moment. Raises ServerError."""
        try:
            async with asyncio.timeout(_ANSWERED_LIMIT_S):
                for player in self._players:
                    while self._moments.newest_s(player) < since_s:  # noqa: ASYNC110 - 24 of them
                        await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            raise ServerError(f"players had no answer for {_ANSWERED_LIMIT_S:.0f} s") from None


def _progress(move: Move) -> None:
    sys.stderr.write(
        f"{move.how:20}: {move.wallets:2} wallets moved, first bet after {move.first_bet:.2f} s,"
        f" longest silence {move.longest:.2f} s, of others {move.stayed:.2f} s\n"
    )


async def moved(nodes: Nodes, rounds: int) -> tuple[list[Move], list[Retrying]]:
    """All moves, and the players with all that they were promised. Raises ServerError."""
    moments = Moments()
    stays = nodes.nodes[0]
    players = [
        Retrying(stays.url, player, 1, moments.acknowledged, PAUSE_S)
        for player in await enlist(stays.url, PLAYERS)
    ]
    playing = [asyncio.create_task(player.play()) for player in players]
    try:
        found = await Moves(nodes, players, moments).run(rounds)
        for player in players:
            player.finish()
        _done, late = await asyncio.wait(playing, timeout=_ANSWERED_LIMIT_S)
        if late:
            raise ServerError(f"{len(late)} players were never answered")
    finally:
        for task in playing:
            task.cancel()
    return found, players


def figure(moves: Sequence[Move], how: str, name: str) -> Spread:
    """How a figure of one kind of move varied."""
    return spread(getattr(move, name) for move in moves if move.how == how)


def words() -> str:
    """How the figures are to be read."""
    return (
        f"{PLAYERS} players on the node that stays, each with a bet {PAUSE_S * 1e3:.0f} ms after"
        " the last answer, which is how exactly a silence is seen; what is refused for a moment is"
        f" asked again after {RETRY_S * 1e3:.0f} ms."
    )
