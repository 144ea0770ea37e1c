"""Running one node: storage first, then the floor, until a signal asks it to stop."""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from server import logs
from server.app import Pitboss
from server.banner import show_banner
from server.clock import now_ms
from server.database import database
from server.demo import demo_token
from server.openfiles import allow_connections
from server.settings import Settings
from server.worker import end_with_supervisor, say_ready
from storage.cluster import check_placement
from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.pool import open_pools
from storage.reseal import check_key

log = logging.getLogger(__name__)

# How often a closed journal has the embedded PostgreSQL looked after.
REVIVE_S: Final = 0.25

RIVAL_CHECK_S: Final = 0.5
# Whoever started us may start us again: we then stand by.
EXIT_OUSTED: Final = 1

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def serve(settings: Settings, make: type[Pitboss] = Pitboss, *, worker: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code.

    It is 0 for an orderly end, and EXIT_OUSTED if another process has taken over. `make` is another
    kind of node, for a benchmark that has to do something inside. A `worker` shares its port and
    belongs to a supervisor, which started it.
    """
    logs.configure(settings.log_level, settings.log_format, settings.node_name)
    # As many network connections may carry HTTP, or nothing yet, as there may be sessions.
    allow_connections(settings.max_connections, settings.max_connections)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    if worker:
        end_with_supervisor(stopping)
    async with database(settings) as postgres:
        for name in await migrate(postgres.dsn):
            log.info("applied migration %s", name)
        pools = await open_pools(postgres.dsn)
        try:
            pitboss = make(settings, postgres.dsn, pools)
            pitboss.shares_port = worker
            cluster = settings.cluster_name if settings.redis_url else None
            await check_placement(pools.runtime, settings.shards, cluster)
            # With another key, players would find out one by one.
            await check_key(pools.runtime, pitboss.storage.vault)
            if postgres.embedded is not None:
                pitboss.jobs.every(REVIVE_S, _reviver(pitboss, postgres.embedded))
            ousted = await _run(pitboss, stopping, say_ready if worker else None)
        finally:
            pools.terminate()
    log.info("closed in good order")
    return EXIT_OUSTED if ousted else 0


async def _run(
    pitboss: Pitboss, stopping: asyncio.Event, tell: Callable[[str | None], None] | None
) -> bool:
    """Serve until asked to stop, or until another process has taken the shards over: then True.

    Whoever starts a node by itself reads a banner; `tell` is for who starts it otherwise.
    """
    journal, settings = pitboss.storage.journal, pitboss.settings

    def look_for_rival() -> None:
        if journal.ousted:
            log.error("another process owns this node's shards now: leaving the floor to it")
            stopping.set()

    pitboss.jobs.every(RIVAL_CHECK_S, look_for_rival)
    pitboss.topology.on_drain(stopping.set)
    started = asyncio.ensure_future(_start(pitboss))
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            port = started.result()
            token = await _demo_token(pitboss)
            if tell is not None:
                tell(token)
            else:
                show_banner(settings, port, token)
            log.info("listening on %s:%d", settings.host, port)
            await stopped
    finally:
        log.info("draining")
        ousted = journal.ousted
        started.cancel()
        stopped.cancel()
        await pitboss.stop()
    return ousted


def _reviver(pitboss: Pitboss, embedded: EmbeddedPostgres) -> Callable[[], Awaitable[None]]:
    """A job that starts the embedded PostgreSQL again if it crashed, which the lanes notice."""

    async def revive() -> None:
        if not pitboss.storage.journal.open:
            await embedded.start()

    return revive


async def _start(pitboss: Pitboss) -> int:
    """Prepare a node, and open it; the port."""
    await pitboss.prepare()
    # A collection takes a tenth of a second, in which nobody who owns shards is served.
    settle_memory()
    return await pitboss.start()


def settle_memory() -> None:
    """Tell the garbage collector what stays, and to look less often at what is new.

    Modules, the catalogue and the routes live as long as the process. A bet makes a few dozen
    objects and no cycles; at the default of 700 every dozen bets began a collection.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _demo_token(pitboss: Pitboss) -> str | None:
    if not pitboss.settings.demo_player:
        return None
    return await demo_token(pitboss.accounts, pitboss.node, now_ms())
