"""Keeps crash tables alive: wakes them wherever they were let go, and finds them their chains."""

import logging
from typing import Any, Final

import asyncpg

from actors.crash.commands import Wake
from actors.crash.rules import CRASH
from actors.crash.table import Table, closed_table
from actors.runtime.node import Node
from protocol.errors import Failure
from storage.borrow import borrow
from storage.chains import ensure_trial_chain
from storage.crash_tables import CrashStore
from storage.queries.unfinished import unfinished_tables
from storage.vault import Vault

log = logging.getLogger(__name__)

# Rounds of a chain for trying out: days of play, and made in a tenth of a second.
TRIAL_LENGTH: Final = 100_000
# A busy machine on which many nodes make the same chain at once may need more than the time for
# which a connection is lent; it goes on with what there is.
CHAIN_TRIES: Final = 10


class Tables:
    """The crash tables, as far as their shards are ours: every node knows all of them.

    A table that is not here yet is read when it is woken.
    """

    def __init__(self, node: Node, tables: dict[int, Table]) -> None:
        self._node = node
        self._tables = tables
        # Those that have played all the chains they were read with.
        self._waiting: set[int] = set()
        # Whether shards came to us in which nobody has looked yet for tables to close.
        self._came = False

    def claimed(self) -> None:
        """Shards are ours now: wake the tables in them, and look soon for others to close."""
        self._came = True
        self.wake()

    async def look_for_others(self, pool: asyncpg.Pool) -> None:
        """Close the other tables of shards that came to us, if any did since the last look.

        Raises Failure `storage_unavailable`; the next call looks again then.
        """
        if not self._came:
            return
        self._came = False
        try:
            await self.close_others(pool)
        except BaseException:
            self._came = True
            raise

    async def close_others(self, pool: asyncpg.Pool) -> None:
        """Take in the tables of our shards that left something open and are configured no more.

        They give back, or settle, what is open, and play no further. Raises Failure
        `storage_unavailable`.
        """
        for number in await unfinished_tables(pool) - self._tables.keys():
            if self._node.owns(CRASH, number):
                log.warning("table %d is not configured: what it left open is closed", number)
                self._tables[number] = closed_table(number)

    def wake(self) -> None:
        """Tell every table to do what is due. One that has lost its lane comes back by this."""
        for number in self._tables:
            if self._node.owns(CRASH, number):
                self._node.send(CRASH, number, Wake(), _Woken(self._waiting, number))

    async def look_for_chains(self, store: CrashStore) -> None:
        """Let go of the tables that wait for a chain which is there by now: they are read with it.

        Raises Failure `storage_unavailable`.
        """
        if not self._waiting:
            return
        for number in await store.with_new_chains(self._waiting):
            self._waiting.discard(number)
            self._node.let_go(CRASH, number)

    async def give_trial_chains(self, pool: asyncpg.Pool, vault: Vault, now_ms: int) -> None:
        """Give each table without a chain one for trying out, whose seeds nobody has published.

        Raises Failure `storage_unavailable`.
        """
        for number in self._tables:
            for tries_left in reversed(range(CHAIN_TRIES)):
                try:
                    async with borrow(pool) as connection:
                        await ensure_trial_chain(connection, vault, number, now_ms, TRIAL_LENGTH)
                    break
                except Failure:
                    if not tries_left:
                        raise


class _Woken:
    """The reply of a table that was woken: notes whether it waits for a chain of hashes."""

    __slots__ = ("_number", "_waiting")

    origin = None

    def __init__(self, waiting: set[int], number: int) -> None:
        self._waiting = waiting
        self._number = number

    def resolve(self, value: Any) -> None:
        if value is not True:
            self._waiting.discard(self._number)
        elif self._number not in self._waiting:
            self._waiting.add(self._number)
            log.warning("table %d waits for a chain of hashes to play", self._number)

    def reject(self, failure: Failure) -> None:
        if not failure.kind.temporary:
            log.error("table %d could not be woken: %s", self._number, failure)
