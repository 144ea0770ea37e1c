"""Operators pause and resume games and tables."""

from collections.abc import Container

from protocol.commands.floor import (
    MAX_CHANGES_SHOWN,
    Game,
    GetSwitches,
    PauseGame,
    ResumeGame,
    Switched,
    Switches,
)
from protocol.errors import MALFORMED, UNKNOWN_TABLE, Failure
from server import switches
from server.caller import Caller
from server.router import Handler
from server.work import Work
from storage.switches import ALL_TABLES, Switch, SwitchStore


class SwitchCommands:
    """Handlers of `game:*`."""

    def __init__(self, live: switches.Switches, store: SwitchStore, tables: Container[int]) -> None:
        self._live = live
        self._store = store
        self._tables = tables

    def handlers(self, work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        return {
            "game:pause": work.answering(self._pause),
            "game:resume": work.answering(self._resume),
            "game:switches": work.answering(self._list),
        }

    async def _pause(self, caller: Caller, command: PauseGame) -> Switched:
        return await self._switch(caller, command, paused=True)

    async def _resume(self, caller: Caller, command: ResumeGame) -> Switched:
        return await self._switch(caller, command, paused=False)

    async def _switch(
        self, caller: Caller, command: PauseGame | ResumeGame, *, paused: bool
    ) -> Switched:
        game, table = command.game, command.table
        if table is not None:
            if game is not Game.CRASH:
                raise Failure(MALFORMED, field="table", reason="Only crash has tables.")
            if table not in self._tables:
                raise Failure(UNKNOWN_TABLE, table=table)
        return _shown(await self._live.switch(game.value, table, caller.user_id, paused=paused))

    async def _list(self, _caller: Caller, _command: GetSwitches) -> Switches:
        return Switches(
            paused=[_shown(switch) for switch in await self._store.paused()],
            changes=[_shown(switch) for switch in await self._store.changes(MAX_CHANGES_SHOWN)],
        )


def _shown(switch: Switch) -> Switched:
    return Switched(
        game=Game(switch.game),
        table=None if switch.table == ALL_TABLES else switch.table,
        paused=switch.paused,
        by=switch.user_id,
        at_ms=switch.at_ms,
    )
