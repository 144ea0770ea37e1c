"""Which games and tables take no bets: as operators switched them, on every node."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from actors.crash.rules import CRASH
from protocol.commands.floor import TablePaused, TableResumed
from protocol.socketio import MAIN_NAMESPACE
from server.hub import Hub
from storage.switches import ALL_TABLES, Switch, SwitchStore

# How often a node reads what was switched on others.
REFRESH_S: Final = 1.0


class Switches:
    """The set that rules look into, kept as PostgreSQL has it.

    `paused` has names of games, and `crash:{table}` for tables.
    """

    def __init__(
        self,
        store: SwitchStore,
        paused: set[str],
        hub: Hub,
        tables: Iterable[int],
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._paused = paused
        self._hub = hub
        self._tables = tuple(tables)
        self._now_ms = now_ms
        # One at a time: what was read before a change must not undo it here.
        self._turn = asyncio.Lock()

    async def refresh(self) -> None:
        """Take over what stands now. Raises Failure `storage_unavailable`."""
        async with self._turn:
            await self._read()

    async def switch(self, game: str, table: int | None, user_id: int, *, paused: bool) -> Switch:
        """Pause or resume, in force here when this returns. Raises `storage_unavailable`."""
        wanted = Switch(game, table or ALL_TABLES, paused, user_id, self._now_ms())
        async with self._turn:
            made = await self._store.put(wanted)
            await self._read()
        return made

    async def _read(self) -> None:
        stand = {_name(switch) for switch in await self._store.paused()}
        if stand == self._paused:
            return
        before = {number for number in self._tables if self._rests(number)}
        # In place: the rules of every game hold this very set.
        self._paused.intersection_update(stand)
        self._paused.update(stand)
        for number in self._tables:
            if self._rests(number) != (number in before):
                self._tell(number)

    def _rests(self, table: int) -> bool:
        return CRASH in self._paused or f"{CRASH}:{table}" in self._paused

    def _tell(self, table: int) -> None:
        """Tell the table's room on this node; each node tells its own."""
        at_ms = self._now_ms()
        event, data = (
            ("table:paused", TablePaused(table=table, at_ms=at_ms))
            if self._rests(table)
            else ("table:resumed", TableResumed(table=table, at_ms=at_ms))
        )
        self._hub.emit(MAIN_NAMESPACE, f"{CRASH}:{table}", event, data)


def _name(switch: Switch) -> str:
    return switch.game if switch.table == ALL_TABLES else f"{switch.game}:{switch.table}"
