"""A world: clients, processes, a database and bad luck, run from a seed until all is quiet."""

import asyncio
import hashlib
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, NamedTuple
from uuid import UUID

from actors.crash.facts import RoundEntry
from actors.crash.rules import CRASH
from actors.wallet.commands import Adjust
from protocol.errors import Failure
from storage.lane import Posted
from tests.simulation.answers import Answers
from tests.simulation.books import Books
from tests.simulation.call import BrokenReply
from tests.simulation.client import OPERATOR, Client
from tests.simulation.loop import run_virtually
from tests.simulation.plan import Plan, bounds_of, plan
from tests.simulation.process import Process, shard_of
from tests.simulation.rounds import Rounds
from tests.simulation.storm import Storm
from tests.simulation.tables import chains_of, tables_of
from tests.support.memory_database import Backend, MemoryDatabase

# What a failing seed prints: the last steps before the finding.
TRACE_LINES: Final = 300
# Virtual seconds of bad weather, and until everything must be quiet once it is over.
STORM_S: Final = 40.0
CALM_S: Final = 400.0
# How far the clock leaps, in hours, and how often where it does.
LEAPS_H: Final = (1, 9, 24, 24, 7 * 24, 31 * 24)
LEAP_EVERY_S: Final = 8.0
REFUSED: Final = "log lane %d was refused a row of %s: %s"
# The clock starts at some day, not at 0, so that times are as large as real ones.
EPOCH_MS: Final = 1_750_000_000_000


class Result(NamedTuple):
    """What became of a world. `finding` is None if every invariant held."""

    seed: int
    finding: str | None
    trace: Sequence[str]
    digest: str
    counts: Counter[str]
    is_cluster: bool = False


class World:
    """Everything that exists, and the first thing that was found wrong.

    In this one, processes compete: each owns everything, or stands by.
    """

    is_cluster = False

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.plan = self._plan()
        self.storm = Storm(self.plan, Random(f"storm {seed}"))
        self.database = self._database()
        self.database.committed = self._committed
        self.database.deleted = self._deleted
        self.tables = tables_of(seed)
        self.chains = {number: chains_of(number) for number in self.tables}
        self.rounds = Rounds(self.tables, self.chains, self.fail)
        self.books = Books(self.fail, self.rounds)
        self.answers = Answers(self.books, self.rounds, self.fail)
        self.wallets: list[int] = [
            *range(1, self.plan.players + 1),
            1_000,
        ]  # the last one plays never
        self.processes: list[Process] = []
        self.finding: str | None = None
        self.trace: deque[str] = deque(maxlen=TRACE_LINES)
        self.counts: Counter[str] = Counter()
        """How often what happened, so that nobody believes in a fault that never strikes."""
        self._digest = hashlib.sha256()
        self._rng = Random(f"world {seed}")
        self._leapt_ms = 0
        self._loop = asyncio.get_running_loop()
        self._found: asyncio.Future[None] = self._loop.create_future()

    # What a cluster's world has otherwise.

    def _plan(self) -> Plan:
        return plan(self.seed)

    def _database(self) -> MemoryDatabase:
        return MemoryDatabase()

    def _process(self, number: int) -> Process:
        return Process(self, number)

    def begin(self) -> None:
        """Start the first processes."""
        self.start()

    def _players(self) -> list[Client]:
        return [
            Client(self, wallet_id, hand)
            for wallet_id in self.wallets[:-1]
            for hand in range(self.plan.hands)
        ]

    def now_ms(self) -> int:
        """The time on every clock of this world."""
        return EPOCH_MS + self._leapt_ms + int(self._loop.time() * 1_000)

    def note(self, step: str) -> None:
        """Write a step down."""
        line = f"{self._loop.time():9.4f} {step}"
        self._digest.update(line.encode())
        self.trace.append(line)

    def fail(self, finding: str) -> None:
        """An invariant does not hold. The first finding ends the world."""
        if self.finding is None:
            self.finding = finding
            self.note(f"FOUND {finding}")
            self._found.set_result(None)

    def next_call(self) -> int:
        """The number of the next call."""
        self.counts["calls"] += 1
        return self.counts["calls"]

    def pick(self, rng: Random) -> Process:
        """A process that a client reaches."""
        return rng.choice([process for process in self.processes if process.takes_calls])

    def start(self) -> Process:
        """Start another process on the same database."""
        self.counts["processes"] += 1
        process = self._process(self.counts["processes"])
        self.note(f"process {process.number} starts")
        self.processes.append(process)
        return process

    def _committed(
        self, backend: Backend, facts: Sequence[Any], messages: Sequence[Posted]
    ) -> None:
        self.counts["commits"] += 1
        self.counts["rows"] += len(facts)
        self.counts.update(f"fact {getattr(fact, 'kind', 'pair')}" for fact in facts)
        sent = [message for message, _shard in messages]
        self.note(f"commit by {backend.number}: {facts} {sent}")
        for fact in facts:
            table = isinstance(fact, RoundEntry)
            shard = shard_of(fact.table, CRASH) if table else shard_of(fact.wallet_id)
            if self.database.locks.get(shard) is not backend:
                self.fail(f"backend {backend.number} wrote {fact} without its lock")
        self.rounds.writer = backend.number
        self.books.commit(facts, sent)

    def _deleted(self, ids: Sequence[UUID]) -> None:
        if ids:
            self.note(f"deleted {ids}")
            self.books.delete(ids)
            self.counts["messages deleted"] += len(ids)

    async def run(self) -> None:
        """Live until everything is quiet or something was found."""
        life = asyncio.ensure_future(self._live())
        await asyncio.wait((life, self._found), return_when=asyncio.FIRST_COMPLETED)
        if life.done() and life.exception() is not None:
            self.fail(f"the world broke: {life.exception()!r}")
        life.cancel()

    async def _live(self) -> None:
        self.begin()
        clients = [self._loop.create_task(player.play()) for player in self._players()]
        chaos = self._loop.create_task(self._chaos())
        leaps = self._loop.create_task(self._leap())
        await asyncio.wait(clients, timeout=STORM_S)
        leaps.cancel()
        await self._clear_up(chaos)
        try:
            async with asyncio.timeout(CALM_S):
                await asyncio.gather(*clients)
                await self._settle()
        except TimeoutError:
            return self.fail("long after the faults there is no final answer, or a message left")
        self._check_quiet()
        return None

    async def _chaos(self) -> None:
        plan = self.plan
        while plan.disasters:
            await asyncio.sleep(self._rng.random() * 2 * plan.disaster_every_s)
            disaster = self._rng.choice(plan.disasters)
            self.note(f"disaster: {disaster}")
            self.counts[f"disaster {disaster}"] += 1
            await self._strike(disaster)

    async def _leap(self) -> None:
        """Let hours, days or a month pass in a moment, now and then."""
        rng = Random(f"leaps {self.seed}")
        while self.plan.leaps:
            await asyncio.sleep(rng.random() * LEAP_EVERY_S)
            self._leapt_ms += rng.choice(LEAPS_H) * 3_600_000
            self.counts["leaps"] += 1
            self.note(f"it is {self.now_ms()} now")

    async def _strike(self, disaster: str) -> None:
        process = self.pick(self._rng)
        match disaster:
            case "kill":
                process.kill()
                self.start()
            case "restart":
                self.start()
                await process.stop()
            case "rival":
                if sum(process.takes_calls for process in self.processes) < 3:
                    self.start()
            case "sever":
                process.sever()
            case "end_backend":
                backends = sorted(set(self.database.locks.values()), key=lambda b: b.number)
                if backends:
                    self.database.end(self._rng.choice(backends))
            case "outage":
                self.storm.outage = True
                self.database.end_all()
                await asyncio.sleep(self._rng.random() * 4)
                self.storm.outage = False

    async def _clear_up(self, chaos: asyncio.Task[None]) -> None:
        """Faults end. Rivals end too, so that the last process can win every lock."""
        self.storm.over = True
        if chaos.done():
            chaos.result()
        chaos.cancel()
        self.storm.outage = False
        self.note("the storm is over")
        for process in [process for process in self.processes if process.takes_calls][:-1]:
            process.kill()
        for process in self.processes:
            if process.stopping and not process.dead:
                process.kill()

    async def _settle(self) -> None:
        """Wait until the last message has arrived, then change every balance once more."""
        for wallet_id in self.wallets:
            await self._make_room(wallet_id)
        while self.books.waiting or self.rounds.are_open:
            await asyncio.sleep(1.0)
        for wallet_id in self.wallets:
            for currency in self.books.balances_at(wallet_id, self.books.seq(wallet_id)):
                # What no limit of play refuses.
                await self._adjust(wallet_id, "faucet", currency, 1)

    async def _make_room(self, wallet_id: int) -> None:
        """A wallet that is full would keep a returned tip waiting for ever."""
        balances = self.books.balances_at(wallet_id, self.books.seq(wallet_id))
        if balances.get("USD", 0) > 2**52:
            await self._adjust(wallet_id, "withdrawal", "USD", 2**52)

    async def _adjust(self, wallet_id: int, kind: str, currency: str, amount: int) -> None:
        request_id = UUID(int=self._rng.getrandbits(128), version=4)
        while True:
            call = self.pick(self._rng).send(
                wallet_id, Adjust(kind, currency, amount, OPERATOR, request_id)
            )
            if not isinstance(await call.answered, Failure):
                return
            await asyncio.sleep(0.1)

    def _check_quiet(self) -> None:
        for process in self.processes:
            crashed = process.crashed()
            if crashed is not None:
                self.fail(f"a task of process {process.number} died: {crashed!r}")
            if process.takes_calls:
                process.check_answered()
                process.check_rehydrated()
        # The constraints are the last line: nobody who remembers every request id meets them.
        if self.plan.remembered > self.counts["rows"] and self.counts[REFUSED]:
            self.fail("storage refused a row though every request id was remembered")
        self.answers.at_the_end()
        self.answers.newest_is_final()

    @property
    def digest(self) -> str:
        """Every step of this world in one number."""
        return self._digest.hexdigest()


class _Logs(logging.Handler):
    """Errors that the code under test only logs are findings, unless a fault asked for them."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.counts[f"log {record.msg}"] += 1
        if record.levelno < logging.ERROR or "is silent and lives" in record.msg:
            # A member that was cut off from Redis alone does just that, and operators should know.
            return
        if record.exc_info is None or not isinstance(record.exc_info[1], BrokenReply):
            cause = record.exc_info and record.exc_info[1]
            self._world.fail(f"{record.name} logged: {record.getMessage()} {cause!r}")


def run(seed: int, make: Callable[[int], World] = World) -> Result:
    """Run the world of `seed`."""
    return run_virtually(_run(seed, make))


async def _run(seed: int, make: Callable[[int], World]) -> Result:
    world = make(seed)
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: world.fail(f"the loop caught: {context}")
    )
    logs = _Logs(world)
    root = logging.getLogger()
    root.addHandler(logs)
    try:
        with bounds_of(world.plan):
            await world.run()
    finally:
        root.removeHandler(logs)
    trace = tuple(world.trace)
    return Result(seed, world.finding, trace, world.digest, world.counts, world.is_cluster)
