"""A player's statistics, from the committed rows."""

from protocol.commands.stats import GetPlayerStats, PlayerStats
from server.caller import Caller
from server.router import Handler
from server.work import Work
from storage.queries.stats import StatsReader


class StatsCommands:
    """The handler of `stats:get`."""

    def __init__(self, reader: StatsReader) -> None:
        self._reader = reader

    def handlers(self, work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        return {"stats:get": work.answering(self._get)}

    async def _get(self, caller: Caller, command: GetPlayerStats) -> PlayerStats:
        return await self._reader.read(caller.user_id, command)
