"""Running one node: storage first, then the floor, until a signal asks it to stop."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from server import logs
from server.app import Pitboss, now_ms
from server.demo import banner, demo_token
from server.settings import Settings
from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.pool import open_pool

log = logging.getLogger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """The address of PostgreSQL: the one that is set, or the embedded one for as long as needed."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    try:
        yield await embedded.start()
    finally:
        await embedded.stop()


async def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code: 0 for an orderly end."""
    logs.configure(settings.log_level, settings.log_format)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    async with database(settings) as dsn:
        for name in await migrate(dsn):
            log.info("applied migration %s", name)
        pool = await open_pool(dsn)
        pitboss = Pitboss(settings, dsn, pool)
        try:
            started = asyncio.ensure_future(pitboss.start())
            stopped = asyncio.ensure_future(stopping.wait())
            await asyncio.wait((started, stopped), return_when=asyncio.FIRST_COMPLETED)
            if started.done():
                await _welcome(pitboss, started.result())
                await stopped
            started.cancel()
            log.info("draining")
            await pitboss.stop()
        finally:
            pool.terminate()
    log.info("closed in good order")
    return 0


async def _welcome(pitboss: Pitboss, port: int) -> None:
    settings = pitboss.settings
    token = None
    if settings.demo_player:
        token = await demo_token(pitboss.accounts, pitboss.node, now_ms())
    host = settings.host if settings.host not in {"0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104 - compared, not bound
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(banner(f"http://{host}:{port}", token))
        sys.stdout.flush()
    log.info("listening on %s:%d", settings.host, port)
