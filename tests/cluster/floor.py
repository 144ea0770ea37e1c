"""A cluster with players who do not stop, whatever happens to it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from tests.cluster import books, witness
from tests.cluster.player import Player, enrol
from tests.support.clusters import LIMIT_S, Cluster

PLAYERS = 12
# Acknowledged commands of each player, as a sign that all is well for everybody.
SOME = 3


class Floor:
    """The cluster and its players, who play until the end is looked at."""

    def __init__(self, cluster: Cluster, players: Sequence[Player]) -> None:
        self.cluster = cluster
        self._players = players
        self._playing = [
            asyncio.ensure_future(activity)
            for player in players
            for activity in player.activities(players)
        ]

    async def progress(self, *names: str, some: int = SOME) -> None:
        """Wait until every player has had some more of these commands acknowledged."""
        goals = {
            (player, name): player.acknowledged[name] + some
            for player in self._players
            for name in names or ("dice:roll", "wallet:tip")
        }
        missing = list(goals)
        try:
            async with asyncio.timeout(LIMIT_S):
                while missing := [
                    (player, name)
                    for player, name in missing
                    if player.acknowledged[name] < goals[player, name]
                ]:
                    self._raise_what_went_wrong()
                    await asyncio.sleep(0.02)
        except TimeoutError:
            waiting = [(player.user_id, name) for player, name in missing]
            raise AssertionError(f"not acknowledged in {LIMIT_S:.0f} s: {waiting}") from None

    def _raise_what_went_wrong(self) -> None:
        for activity in self._playing:
            if activity.done():
                activity.result()

    async def check(self) -> None:
        """End the play, and see that everything is as everybody was told."""
        await self.progress("crash:bet", some=1)
        for player in self._players:
            player.finish()
        # Every command that is under way ends in an answer.
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*self._playing)
        await self.cluster.whole()
        view = self.cluster.view
        await books.calm(view)
        await witness.check(view)
        await books.check(view, self.cluster.dsn, self._players)

    async def close(self) -> None:
        """End the play, wherever it is."""
        for activity in self._playing:
            activity.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)
        for player in self._players:
            for device in player.devices:
                await device.leave()


@asynccontextmanager
async def opened(cluster: Cluster) -> AsyncIterator[Floor]:
    """A floor on which everybody plays and crash rounds have had bets."""

    def urls() -> list[str]:
        return [node.url for node in cluster.nodes if node.process.running]

    async with aiohttp.ClientSession() as http:
        floor = Floor(cluster, await enrol(http, urls, PLAYERS))
        try:
            await floor.progress("dice:roll", "wallet:tip")
            yield floor
        finally:
            await floor.close()
