"""Several workers on one port: started, watched, replaced when they die, and ended in order.

The supervisor carries no player: what a worker does, it does by itself, as a node of a cluster of
its own machine. PostgreSQL and Redis are the supervisor's, unless their addresses are set.
"""

import asyncio
import logging
import os
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, NamedTuple

from server import logs
from server.banner import show_banner
from server.jobs import Jobs
from server.settings import Settings, variable
from server.slot import Slot, Start
from server.worker import Ready
from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.redis_server import EmbeddedRedis

log = logging.getLogger(__name__)

MOST_WORKERS: Final = 64
_STDIN: Final = 0
# One that dies again and again must not keep the machine busy; one that lived is replaced at once.
FIRST_PAUSE_S: Final = 0.5
MOST_PAUSE_S: Final = 10.0
SETTLED_S: Final = 30.0
# How often the embedded PostgreSQL and Redis are looked after.
REVIVE_S: Final = 0.25
# A signal for a group of processes may come twice, from its sender and from a parent of ours.
SAME_S: Final = 1.0
# Not every worker ended in good order.
EXIT_CUT_OFF: Final = 1

# Each step of a node's shutdown has the time of PITBOSS_DRAIN_SECONDS; there are fewer than this.
_DRAIN_STEPS: Final = 8
_BEYOND_DRAINING_S: Final = 10.0
# Besides those of its lanes: both pools, and a few for what looks in from outside.
_POOLED_CONNECTIONS: Final = 16
_OTHER_CONNECTIONS: Final = 20
# A node's name has 64 characters at most, of which a worker's number and its dash take 3.
_MOST_NAME_CHARS: Final = 61


class Orders:
    """What signals have asked for."""

    def __init__(self) -> None:
        self._in_terminal = os.isatty(_STDIN)
        self._asked_s = 0.0
        self.stop = asyncio.Event()
        self.cut = asyncio.Event()
        self.roll = asyncio.Event()

    def heed_signals(self) -> None:
        """Take orders from SIGTERM, SIGINT and SIGHUP."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        loop.add_signal_handler(signal.SIGHUP, self.renew)

    def end(self) -> None:
        """End in good order; asked again later on, at once."""
        now_s = asyncio.get_running_loop().time()
        if not self.stop.is_set():
            self._asked_s = now_s
            self.stop.set()
        elif now_s - self._asked_s >= SAME_S:
            self.cut.set()

    def renew(self) -> None:
        """Replace all workers. Or end, where SIGHUP says that our terminal was closed."""
        if self._in_terminal and not os.isatty(_STDIN):
            self.stop.set()
        else:
            self.roll.set()


class Supervisor:
    """Keeps `count` workers alive, until `orders` say stop."""

    def __init__(self, count: int, start: Start, orders: Orders, grace_s: float) -> None:
        self.slots = [
            Slot(number, start, self._one_is_ready, grace_s) for number in range(1, count + 1)
        ]
        self.first_ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        """What the first worker said when it was ready."""
        self._orders = orders
        self._failed = False

    async def run(self) -> int:
        """Keep them until told to stop. The exit code: 0 if all ended in good order."""
        keeping = [asyncio.create_task(self._keep(slot)) for slot in self.slots]
        rolling = asyncio.create_task(self._roll_when_asked())
        await self._orders.stop.wait()
        log.info("ending %d workers", len(self.slots))
        rolling.cancel()
        for slot in self.slots:
            slot.close()
        cutting = asyncio.create_task(self._cut_when_asked())
        await asyncio.gather(*keeping)
        cutting.cancel()
        killed = any(slot.killed for slot in self.slots)
        return EXIT_CUT_OFF if self._failed or killed else 0

    def _one_is_ready(self, slot: Slot, ready: Ready) -> None:
        log.info("worker %d is ready", slot.number)
        if slot.number == 1 and not self.first_ready.done():
            self.first_ready.set_result(ready)

    async def _keep(self, slot: Slot) -> None:
        """Have a worker in its place, as long as there are to be any."""
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while not self._orders.stop.is_set():
            began_s = loop.time()
            try:
                how = await slot.live()
            except Exception:  # nobody else looks after this place
                log.exception("the place of worker %d could not be looked after", slot.number)
                how = "was lost"
            if slot.ending:
                continue
            if not self.first_ready.done():
                # What keeps the first from starting keeps all, and for good: a setting, mostly.
                log.error("worker %d %s before the first was ready", slot.number, how)
                self._failed = True
                self._orders.stop.set()
                return
            if loop.time() - began_s >= SETTLED_S:
                pause_s = FIRST_PAUSE_S
            log.error("worker %d %s: the next in %.1f s", slot.number, how, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._orders.stop.wait(), pause_s)
            pause_s = min(2 * pause_s, MOST_PAUSE_S)

    async def _roll_when_asked(self) -> None:
        """Replace one worker after the other; the next only when the last one is ready again.

        Asked meanwhile, it begins anew after the last one.
        """
        while True:
            await self._orders.roll.wait()
            self._orders.roll.clear()
            log.info("replacing %d workers, one after the other", len(self.slots))
            for slot in self.slots:
                slot.end()
                await slot.ready.wait()
            log.info("all workers are replaced")

    async def _cut_when_asked(self) -> None:
        await self._orders.cut.wait()
        log.warning("cutting off what has not ended yet")
        for slot in self.slots:
            slot.kill()


async def serve_workers(settings: Settings, count: int) -> int:
    """Serve with several processes until SIGTERM or SIGINT. The exit code, 0 for an orderly end."""
    logs.configure(settings.log_level, settings.log_format, settings.node_name)
    orders = Orders()
    orders.heed_signals()
    # Made once, for all workers find them then.
    settings.jwt_secret_value()
    settings.seed_key()
    with held_port(settings.host, settings.port) as port:
        async with _engines(settings, count) as engines:
            for name in await migrate(engines.dsn):
                log.info("applied migration %s", name)
            welcome = True

            async def start(number: int) -> Process:
                demo = welcome and number == 1
                return await _spawn(_environment(settings, engines, port, number, demo))

            supervisor = Supervisor(count, start, orders, _grace_s(settings))
            running = asyncio.ensure_future(supervisor.run())
            either: set[asyncio.Future[Any]] = {running, supervisor.first_ready}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if supervisor.first_ready.done():
                welcome = False
                show_banner(settings, port, supervisor.first_ready.result().token)
            code = await running
    log.info("closed")
    return code


def _grace_s(settings: Settings) -> float:
    return _DRAIN_STEPS * settings.drain_seconds + _BEYOND_DRAINING_S


@contextmanager
def held_port(host: str, port: int) -> Iterator[int]:
    """Keep a port for workers that come and go; 0 takes a free one. The port, as it is.

    Nobody is connected to who only holds it. Raises OSError if somebody else listens there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without sharing: a port that others share would be shared with them.
    with socket.create_server((host, port), family=family) as probe:
        found: int = probe.getsockname()[1]
    with socket.socket(family) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        held.bind((host, found))
        yield found


class Engines(NamedTuple):
    """Where workers find PostgreSQL and Redis."""

    dsn: str
    redis_url: str


@asynccontextmanager
async def _engines(settings: Settings, count: int) -> AsyncIterator[Engines]:
    """Those that are set, or embedded ones for as long as they are needed, revived if they die."""
    connections = count * (settings.journal_lanes + _POOLED_CONNECTIONS) + _OTHER_CONNECTIONS
    postgres = EmbeddedPostgres(settings.data_dir, connections=connections)
    redis = EmbeddedRedis(settings.data_dir)
    jobs = Jobs()
    try:
        dsn, url = settings.database_url, settings.redis_url
        if dsn is None:
            dsn = await postgres.start()
            jobs.every(REVIVE_S, lambda: None if postgres.running else postgres.start())
        if url is None:
            url = await redis.start()
            jobs.every(REVIVE_S, lambda: None if redis.running else redis.start())
        yield Engines(dsn, url)
    finally:
        await jobs.stop()
        await redis.stop()
        await postgres.stop()


def _environment(
    settings: Settings, engines: Engines, port: int, number: int, demo: bool
) -> Mapping[str, str]:
    """What a worker is told besides what everybody is told. One of them makes the demo player."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", settings.node_name or socket.gethostname())
    told = {
        "database_url": engines.dsn,
        "redis_url": engines.redis_url,
        "port": str(port),
        "node_name": f"{name[:_MOST_NAME_CHARS]}-{number}",
    }
    if settings.cluster_port:
        told["cluster_port"] = str(settings.cluster_port + number - 1)
    if not demo:
        told["demo_player"] = "false"
    return os.environ | {variable(name): value for name, value in told.items()}


async def _spawn(environment: Mapping[str, str]) -> Process:
    """Start a worker. Its standard input is closed by our end, whatever that is."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        "serve",
        "--worker",
        env=environment,
        stdin=PIPE,
        stdout=PIPE,
        # A terminal's Ctrl-C is for the supervisor, which ends them in order.
        start_new_session=True,
    )
