"""Ends put to a bet's route at the ports between its parts: what lies before costs alone."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from actors.runtime.node import Node
from actors.runtime.ports import Lane, Write
from actors.runtime.post import Post
from protocol.catalogue import COMMANDS
from protocol.disconnects import DisconnectReason
from protocol.socketio import MAIN_NAMESPACE, Argument
from server.app import Pitboss
from server.caller import Caller
from server.clock import now_ms
from server.floor import Publishing
from server.reply import Answer
from server.router import Handler, Router
from server.sockets.socket import Ack, Socket


class DeafHandler:
    """Takes a connection's messages in the place of the Socket.IO layer, and counts them."""

    def __init__(self) -> None:
        self.taken = 0

    def opened(self) -> None:
        """Nothing begins."""

    def text(self, _message: bytes) -> None:
        """Count it."""
        self.taken += 1

    def binary(self, _message: bytes) -> None:
        """Count it."""
        self.taken += 1

    def heartbeat(self) -> None:
        """Nothing is kept."""

    def closed(self, reason: DisconnectReason) -> None:
        """Nothing was open."""


class DeafApplication:
    """Takes events in the place of the game floor."""

    namespaces = frozenset({MAIN_NAMESPACE})

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        """Everybody may come."""

    def event(self, socket: Socket, name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """Nothing follows."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        """Nobody is missed."""


def router_to(handler: Handler) -> Router:
    """The real router, with one handler behind every command."""
    return Router(dict.fromkeys(COMMANDS, handler), time.monotonic)


def deaf_handler(_caller: Caller, _command: Any, _answer: Answer) -> None:
    """Take a command in the place of an actor."""


class HoldingLane:
    """Takes decisions in the place of the journal, and keeps them until they are asked for."""

    open = True
    full = False

    def __init__(self) -> None:
        self._held: list[Write] = []

    def append(self, write: Write) -> None:
        """Keep it."""
        self._held.append(write)

    def take(self) -> list[Write]:
        """All that was kept, in order."""
        held, self._held = self._held, []
        return held


class _Placement:
    """Every actor on one lane, in the shard that it has anyway."""

    def __init__(self, pitboss: Pitboss, lane: HoldingLane) -> None:
        self.shard_of = pitboss.storage.journal.shard_of
        self._lane = lane

    def lane_of(self, _shard: int) -> Lane:
        """The one lane."""
        return self._lane

    def owns(self, _shard: int) -> bool:
        """Every shard is there."""
        return True


def node_before(lane: HoldingLane, pitboss: Pitboss) -> Node:
    """A second node with the rules, the reads and the rooms of `pitboss`, but with another lane."""
    storage, settings = pitboss.storage, pitboss.settings
    return Node(
        pitboss.node.kinds.values(),
        _Placement(pitboss, lane),
        storage.store,
        Post(storage.outbox),
        Publishing(pitboss.sockets.hub),
        now_ms,
        _no_entropy,
        max_live=settings.max_live_actors,
        hydrate_timeout_s=settings.commit_timeout_seconds,
    )


def _no_entropy() -> str:
    raise AssertionError("a bet asks for no fresh secret")


class Committed:
    """Is told of commits in the place of the node."""

    def __init__(self) -> None:
        self._wanted = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def commit(self, lane: Lane, writes: Sequence[Write]) -> None:
        """Have a lane commit `writes`, all at once, and wait until they are durable."""
        self._wanted = len(writes)
        self._done = asyncio.get_running_loop().create_future()
        for write in writes:
            lane.append(write)
        await self._done

    def committed(self, writes: Sequence[Write]) -> None:
        """They are durable."""
        self._wanted -= len(writes)
        if not self._wanted:
            self._done.set_result(None)

    def refused(self, writes: Sequence[Write]) -> None:
        """A row that the rules have made is never refused."""
        self._done.set_exception(AssertionError(f"{len(writes)} writes were refused"))

    def lost(self, _lane: Lane, writes: Sequence[Write]) -> None:
        """Without a connection there is nothing to measure."""
        if not self._done.done():
            self._done.set_exception(ConnectionError(f"{len(writes)} writes were lost"))
