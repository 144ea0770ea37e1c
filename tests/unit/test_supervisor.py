"""The supervisor: workers are kept alive, replaced one after the other, and ended in order."""

import asyncio
import logging
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from server import supervisor as supervising
from server.supervisor import EXIT_CUT_OFF, Orders, Supervisor, held_port

# Far more than anything takes; only a hang reaches it.
LIMIT_S = 30

GOOD = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("{}", flush=True)
sys.stdin.read()
"""
DEAF = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("{}", flush=True)
sys.stdin.read()
"""
BROKEN = "raise SystemExit(3)"

Script = Callable[[int, int], str]
"""The program of a worker's number, at its first, second, ... start."""


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervising, "MOST_PAUSE_S", 0.04)
    monkeypatch.setattr(supervising, "SAME_S", 0.0)


class Workers:
    """Worker processes that do nothing, and the supervisor over them."""

    def __init__(self, count: int, script: Script, grace_s: float = LIMIT_S) -> None:
        self.started: list[int] = []
        self.unready: list[list[int]] = []
        """Who else was not ready, at each start."""
        self.processes: dict[int, Process] = {}
        self.orders = Orders()
        self._script = script
        self.supervisor = Supervisor(count, self._start, self.orders, grace_s)

    async def _start(self, number: int) -> Process:
        self.started.append(number)
        self.unready.append(
            [
                slot.number
                for slot in self.supervisor.slots
                if slot.number != number and not slot.ready.is_set()
            ]
        )
        script = self._script(number, self.started.count(number))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", script, stdin=PIPE, stdout=PIPE
        )
        self.processes[number] = process
        return process

    async def all_ready(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            for slot in self.supervisor.slots:
                await slot.ready.wait()

    async def started_times(self, number: int, times: int) -> None:
        async with asyncio.timeout(LIMIT_S):
            while self.started.count(number) < times:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def supervised(
    count: int, script: Script, grace_s: float = LIMIT_S
) -> AsyncIterator[tuple[Workers, "asyncio.Task[int]"]]:
    workers = Workers(count, script, grace_s)
    running = asyncio.create_task(workers.supervisor.run())
    try:
        yield workers, running
    finally:
        workers.orders.end()
        workers.orders.cut.set()
        async with asyncio.timeout(LIMIT_S):
            await running
        assert all(process.returncode is not None for process in workers.processes.values())


def all_good(_number: int, _start: int) -> str:
    return GOOD


async def test_told_to_stop_it_ends_all_in_good_order() -> None:
    async with supervised(3, all_good) as (workers, running):
        await workers.all_ready()
        workers.orders.end()
        async with asyncio.timeout(LIMIT_S):
            assert await running == 0
        assert sorted(workers.started) == [1, 2, 3]
        assert [process.returncode for process in workers.processes.values()] == [0, 0, 0]


async def test_told_to_stop_before_anything_it_starts_nothing() -> None:
    workers = Workers(2, all_good)
    workers.orders.end()
    assert await workers.supervisor.run() == 0
    assert workers.started == []


async def test_a_worker_that_dies_is_replaced_and_the_others_are_left_alone() -> None:
    async with supervised(2, all_good) as (workers, _running):
        await workers.all_ready()
        workers.processes[2].kill()
        await workers.started_times(2, 2)
        await workers.all_ready()
        assert workers.started.count(1) == 1
        assert workers.processes[1].returncode is None


async def test_one_that_dies_again_and_again_is_started_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def script(number: int, start: int) -> str:
        return BROKEN if number == 2 and 1 < start < 7 else GOOD

    with caplog.at_level(logging.ERROR):
        async with supervised(2, script) as (workers, _running):
            await workers.all_ready()
            workers.processes[2].kill()
            await workers.started_times(2, 7)
            await workers.all_ready()
    pauses = [record.args[2] for record in caplog.records if isinstance(record.args, tuple)]
    assert pauses == [0.01, 0.02, 0.04, 0.04, 0.04, 0.04]
    assert "worker 2 was ended by SIGKILL" in caplog.text
    assert "worker 2 ended with code 3" in caplog.text


async def test_a_place_outlives_what_nobody_thought_of(caplog: pytest.LogCaptureFixture) -> None:
    def script(number: int, start: int) -> str:
        if number == 2 and start in {2, 3}:
            raise RuntimeError("as it happens")
        return GOOD

    async with supervised(2, script) as (workers, _running):
        await workers.all_ready()
        workers.processes[2].kill()
        await workers.started_times(2, 4)
        await workers.all_ready()
    assert caplog.text.count("RuntimeError: as it happens") == 2


async def test_one_that_lived_for_long_is_replaced_soon_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervising, "SETTLED_S", 0.0)
    with caplog.at_level(logging.ERROR):
        async with supervised(1, all_good) as (workers, _running):
            for start in (1, 2, 3):
                await workers.started_times(1, start)
                await workers.all_ready()
                workers.processes[1].kill()
            await workers.started_times(1, 4)
    pauses = [record.args[2] for record in caplog.records if isinstance(record.args, tuple)]
    assert pauses == [0.01, 0.01, 0.01]


async def test_replacing_goes_one_by_one() -> None:
    async with supervised(3, all_good) as (workers, running):
        await workers.all_ready()
        before = dict(workers.processes)
        workers.orders.roll.set()
        await workers.started_times(3, 2)
        await workers.all_ready()
        assert workers.started[3:] == [1, 2, 3]
        assert workers.unready[3:] == [[], [], []]
        assert [process.returncode for process in before.values()] == [0, 0, 0]
        workers.orders.end()
        assert await running == 0


async def test_replacing_goes_no_further_than_one_that_does_not_get_ready() -> None:
    def script(number: int, start: int) -> str:
        return BROKEN if number == 1 and 1 < start < 5 else GOOD

    async with supervised(2, script) as (workers, _running):
        await workers.all_ready()
        workers.orders.roll.set()
        await workers.started_times(1, 5)
        assert workers.started.count(2) == 1
        await workers.started_times(2, 2)


async def test_what_keeps_the_first_from_starting_ends_it_all() -> None:
    def script(number: int, _start: int) -> str:
        return BROKEN if number == 1 else GOOD

    async with supervised(2, script) as (workers, running):
        async with asyncio.timeout(LIMIT_S):
            assert await running == EXIT_CUT_OFF
        assert workers.started.count(1) == 1


async def test_a_second_order_to_stop_cuts_off_who_does_not_heed() -> None:
    async with supervised(2, lambda number, _: DEAF if number == 2 else GOOD) as (workers, running):
        await workers.all_ready()
        workers.orders.end()
        async with asyncio.timeout(LIMIT_S):
            await workers.processes[1].wait()
        assert workers.processes[2].returncode is None
        workers.orders.end()
        async with asyncio.timeout(LIMIT_S):
            assert await running == EXIT_CUT_OFF
        assert workers.processes[2].returncode == -9


async def test_an_order_that_comes_twice_at_once_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "SAME_S", LIMIT_S)
    orders = Orders()
    orders.end()
    orders.end()
    assert orders.stop.is_set()
    assert not orders.cut.is_set()


async def test_who_does_not_heed_is_killed_in_the_end() -> None:
    async with supervised(1, lambda *_: DEAF, grace_s=0.05) as (workers, running):
        await workers.all_ready()
        workers.orders.end()
        async with asyncio.timeout(LIMIT_S):
            assert await running == EXIT_CUT_OFF
        assert workers.processes[1].returncode == -9


async def test_the_first_says_what_a_newcomer_reads() -> None:
    said = """
import sys
print('{"token": "a token"}', flush=True)
sys.stdin.read()
"""
    async with supervised(2, lambda number, _: said if number == 1 else GOOD) as (
        workers,
        _running,
    ):
        async with asyncio.timeout(LIMIT_S):
            ready = await workers.supervisor.first_ready
        assert ready.token == "a token"


def test_a_held_port_is_shared_and_nobody_is_connected_to_who_holds_it() -> None:
    with held_port("127.0.0.1", 0) as port:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with (
            socket.create_server(("127.0.0.1", port), reuse_port=True) as listening,
            socket.create_connection(("127.0.0.1", port)),
        ):
            listening.settimeout(LIMIT_S)
            listening.accept()[0].close()


def test_a_port_that_others_share_among_themselves_is_not_held() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), reuse_port=True) as listening,
        pytest.raises(OSError, match="in use"),
        held_port("127.0.0.1", listening.getsockname()[1]),
    ):
        pass
