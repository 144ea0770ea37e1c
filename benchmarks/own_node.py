"""A whole node in this very process, on an embedded PostgreSQL that syncs to disk."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.own_postgres import own_folder, own_postgres
from server.app import Pitboss
from server.serve import settle_memory
from server.settings import Settings
from storage.migrate import migrate
from storage.pool import open_pools


@dataclass(frozen=True, slots=True)
class OwnNode:
    """A node that listens on `port` of the loopback, and where its database is."""

    pitboss: Pitboss
    port: int
    database_url: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def own_node() -> AsyncIterator[OwnNode]:
    """Start a node on fresh data, without limits on rates, and remove it all afterwards."""
    with own_folder() as folder:
        settings = Settings(
            data_dir=folder,
            port=0,
            bets_per_second=100_000,
            commands_per_second=10_000,
            sign_ins_per_minute=100_000,
            max_connections_per_ip=20_000,
            # None in the lifetime of a benchmark: packets are counted, and its players answer none.
            ping_interval_milliseconds=3_600_000,
            demo_player=False,
            # They would play on beside what is measured.
            crash_tables=[],
        )
        async with own_postgres(settings.data_dir) as dsn:
            await migrate(dsn)
            pools = await open_pools(dsn)
            try:
                async with _started(Pitboss(settings, dsn, pools)) as (pitboss, port):
                    yield OwnNode(pitboss, port, dsn)
            finally:
                pools.terminate()


@asynccontextmanager
async def _started(pitboss: Pitboss) -> AsyncIterator[tuple[Pitboss, int]]:
    port = await pitboss.start()
    settle_memory()
    try:
        yield pitboss, port
    finally:
        await pitboss.stop()
