"""Round after round of hostile peers on one server, and what must be so after each of them."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from server.logs import NotThePeersFault
from tests.fuzz.case import Finding, require
from tests.fuzz.honest import Honest, clients
from tests.fuzz.hostile import Gang
from tests.fuzz.house import House, open_house
from tests.fuzz.residue import residue

PEERS_PER_ROUND: Final = 80
# Everything of a peer ends within the server's time-outs; this is ten times as long.
GONE_S: Final = 20.0
LOOK_S: Final = 0.05
# The first rounds fill caches, pools and the allocator's arenas; after them memory is flat, but for
# the allocator's own fragments.
_WARM_ROUNDS: Final = 10
MAX_GROWTH_BYTES: Final = 24 * 2**20
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Tally:
    """What the rounds did."""

    rounds: int = 0
    peers: int = 0
    connections: int = 0
    answers: int = 0
    scripts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    rss_bytes: list[int] = field(default_factory=list)
    found: list[str] = field(default_factory=list)


class Complaints(logging.Handler):
    """Keeps what is logged as a warning or worse, by anybody: no peer may cause any."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message and, where there is one, its traceback."""
        self.lines.append(logging.Formatter("%(name)s: %(message)s").format(record))


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What is logged, and what Python says of errors that nobody took, while this is open."""
    handler = Complaints()
    root, server = logging.getLogger(), logging.getLogger("aiohttp.server")
    before = sys.unraisablehook
    calm = NotThePeersFault()
    sys.unraisablehook = lambda error: handler.lines.append(repr(error.exc_value))
    root.addHandler(handler)
    # As the program has it. Whoever else listens would keep what the tracebacks refer to.
    server.addFilter(calm)
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
        server.removeFilter(calm)
        sys.unraisablehook = before


class Siege:
    """One server, its honest clients, and rounds of hostile ones."""

    def __init__(self, seed: int, house: House, honest: list[Honest], logged: list[str]) -> None:
        self.seed = seed
        self.tally = Tally()
        self._house = house
        self._honest = honest
        self._honest_tasks: list[asyncio.Task[None]] = []
        self._logged = logged
        self._calm: Counter[str] = Counter()

    async def begin(self) -> None:
        """Let the honest clients begin, and look at what is kept while they are alone."""
        self._honest_tasks = [asyncio.create_task(client.run()) for client in self._honest]
        await heard(self._honest, self._honest_tasks)
        for _ in range(10):
            self._calm |= residue(self._house)
            await asyncio.sleep(LOOK_S)

    async def round(self, number: int, peers: int) -> None:
        """Play one round. Raises `Finding` where it leaves anything behind or hurts anybody."""
        gang = Gang(self._house.port)
        plays = [gang.play(Random(f"{self.seed} {number} {peer}")) for peer in range(peers)]
        await asyncio.gather(*plays)
        gang.leave()
        self.tally.rounds += 1
        self.tally.peers += len(plays)
        self.tally.connections += len(gang.peers)
        self.tally.scripts += Counter(gang.played)
        del gang, plays
        await heard(self._honest, self._honest_tasks)
        await self._all_gone()
        self._check_quiet()
        self._check_memory()

    async def end(self) -> None:
        """The honest clients go too."""
        counters = self._house.server.engine.counters
        self.tally.reasons = counters.disconnects
        self.tally.refused = counters.refused
        self.tally.answers = sum(client.answers for client in self._honest)
        for task in self._honest_tasks:
            task.cancel()
        await asyncio.gather(*self._honest_tasks, return_exceptions=True)

    async def _all_gone(self) -> None:
        """Wait until nothing is kept that was not there before."""
        end_s = time.monotonic() + GONE_S
        while excess := residue(self._house) - self._calm:
            require(time.monotonic() < end_s, "nothing is left of hostile peers", f"{dict(excess)}")
            await asyncio.sleep(LOOK_S)

    def _check_quiet(self) -> None:
        lines, self._logged[:] = self._logged[:3], []
        require(not lines, "hostile peers cause no errors", "\n".join(lines))

    def _check_memory(self) -> None:
        rss = self.tally.rss_bytes
        rss.append(rss_bytes(os.getpid()))
        if len(rss) > _WARM_ROUNDS:
            growth = min(rss[-5:]) - max(rss[:_WARM_ROUNDS])
            require(growth < MAX_GROWTH_BYTES, "memory is flat", f"{growth} bytes more")


async def heard(honest: list[Honest], tasks: list[asyncio.Task[None]]) -> None:
    """Wait until each honest client has had five more answers. Raises `Finding` if one fails."""
    wanted = [client.answers + 5 for client in honest]
    while any(client.answers < least for client, least in zip(honest, wanted, strict=True)):
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(LOOK_S)


def rss_bytes(pid: int) -> int:
    """The resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:  # noqa: PTH123 - read at once
        return int(statm.read().split()[1]) * _PAGE_BYTES


@asynccontextmanager
async def siege(seed: int) -> AsyncIterator[Siege]:
    """A server under siege; it ends with its last round."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        logged = stack.enter_context(complaints())
        loop.set_exception_handler(lambda _loop, context: logged.append(_describe(context)))
        house = await stack.enter_async_context(open_house())
        besieged = Siege(seed, house, await clients(house.port, stack), logged)
        try:
            yield besieged
        finally:
            await besieged.end()


def _describe(context: dict[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


async def besiege(
    seed: int, seconds: float, rounds: Iterable[int], peers: int = PEERS_PER_ROUND
) -> Tally:
    """Play rounds until the time is up. A finding ends them: what is left over would mislead."""
    end_s = time.monotonic() + seconds
    number = 0
    async with siege(seed) as besieged:
        try:
            await besieged.begin()
            for number in rounds:
                if time.monotonic() > end_s:
                    break
                await besieged.round(number, peers)
        except Finding as finding:
            again = f"python -m tests.fuzz --only live --seed {seed} --round {number}"
            besieged.tally.found.append(f"{finding}\nagain: {again}")
    return besieged.tally
