"""How a node stands to others: alone, or as one of a cluster (`server/cluster/topology.py`)."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

import asyncpg
from prometheus_client.registry import Collector

from actors.runtime.node import Node
from actors.runtime.ports import Elsewhere, Nowhere, Publisher
from server.cluster.activity import FarActivity
from server.floor import Publishing
from server.hub import Hub
from server.pulse import Pulse
from server.tables import Tables
from storage.journal import Journal


class Topology(Protocol):
    """What a node has of others, and what they have of it.

    Made inside the running loop, and bound before anything starts. A node starts in this order:
    `own`; what is asked of the database first; `begin_log`; the jobs; `join`; the listener. It
    stops in this one: the listener; `hand_over`; all that was accepted; the lanes, the jobs and the
    actors; `leave`; the sockets; `close`. It may be stopped before it has started, or half-way.
    """

    publisher: Publisher
    """Tells rooms what actors announce, wherever their members are."""
    elsewhere: Elsewhere
    """The way to actors of other nodes."""
    activity: FarActivity | None
    """Who has been active on any node; None if all that there is to know is known here."""

    def bind(self, node: Node, tables: Tables, pulse: Pulse) -> None:
        """Say which node this is, whose tables are told of shards, and how busy it is."""

    @property
    def asked(self) -> int:
        """How many commands were passed on that have no answer yet."""

    def collectors(self) -> Sequence[Collector]:
        """What there is to measure."""

    def checks(self) -> dict[str, bool]:
        """What else than its own parts a node needs to be ready, and whether it is there."""

    def revoked(self, session_id: UUID) -> None:
        """A session was revoked here: it ends everywhere."""

    def on_drain(self, drain: Callable[[], None]) -> None:
        """Say what is done if an operator asks this node to leave the others."""

    async def own(self) -> None:
        """Own what this node owns by itself. First of all, and for as long as it takes."""

    async def begin_log(self) -> None:
        """Have what clients are told written down, before there are jobs that tell anybody."""

    async def join(self) -> None:
        """Be there for others: jobs run, so that shards that come are served at once."""

    async def hand_over(self, timeout_s: float) -> bool:
        """Have others take what this node owns; whether they did. It goes on passing on."""

    async def leave(self) -> None:
        """Say nothing and hear nothing any more: nobody acts here now."""

    async def close(self) -> None:
        """Serve no session for others any more: the sockets are closed."""


class Standalone:
    """A node that is alone, and owns all shards."""

    _tables: Tables

    def __init__(self, journal: Journal, hub: Hub, people: asyncpg.Pool) -> None:
        self.publisher: Publisher = Publishing(hub)
        self.elsewhere: Elsewhere = Nowhere()
        self.activity: FarActivity | None = None
        self.asked = 0
        self._journal = journal
        self._people = people

    def bind(self, node: Node, tables: Tables, pulse: Pulse) -> None:
        """Say whose tables are looked for once all shards are owned."""
        del node, pulse
        self._tables = tables

    def collectors(self) -> Sequence[Collector]:
        """There is nothing to measure."""
        return ()

    def checks(self) -> dict[str, bool]:
        """It needs nobody else."""
        return {}

    def revoked(self, session_id: UUID) -> None:
        """Nobody else has to know."""

    def on_drain(self, drain: Callable[[], None]) -> None:
        """Nobody asks from afar."""

    async def own(self) -> None:
        """Win all shards, which nobody else may have, and see which tables are in them.

        Raises Failure `storage_unavailable`.
        """
        await self._journal.win()
        await self._tables.close_others(self._people)

    async def begin_log(self) -> None:
        """There is no other node that clients could come back to."""

    async def join(self) -> None:
        """There is nobody."""

    async def hand_over(self, timeout_s: float) -> bool:
        """Nobody takes anything."""
        del timeout_s
        return False

    async def leave(self) -> None:
        """Nobody was spoken to."""

    async def close(self) -> None:
        """Nobody was served."""
