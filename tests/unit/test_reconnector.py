"""Connections that are kept up: how long it is waited between two tries, and what is logged."""

import asyncio
import logging
from typing import Any

import pytest

from storage import resp
from storage.resp import Reconnector, address_of
from tests.simulation.loop import on_virtual_time

STEADY_S = 3.0


class Line:
    """A connection that lasts for as long as the test says."""

    def __init__(self, lasts_s: float) -> None:
        self.lasts_s = lasts_s
        self.aborted = False

    def abort(self, _reason: str) -> None:
        self.aborted = True


class Redis:
    """Refuses connections (None), or ends them after some seconds, as it is scripted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *script: float | None) -> None:
        self.script = list(script)
        self.lines: list[Line] = []
        self.pauses_s: list[float] = []
        self.ended_s = 0.0
        self.reconnector = Reconnector(
            address_of("redis://example.org"),
            "tried",
            service="service",
            log=logging.getLogger("tried"),
            steady_s=STEADY_S,
        )
        monkeypatch.setattr(resp, "connect", self.connect)

    async def connect(self, *_asked: Any) -> Line:
        now_s = asyncio.get_running_loop().time()
        self.pauses_s.append(round(now_s - self.ended_s, 6))
        self.ended_s = now_s
        lasts_s = self.script.pop(0)
        if not self.script:
            self.reconnector.close()
        if lasts_s is None:
            raise ConnectionRefusedError("nobody there")
        self.lines.append(Line(lasts_s))
        return self.lines[-1]

    async def hold(self, line: Any) -> str:
        await asyncio.sleep(line.lasts_s)
        self.ended_s = asyncio.get_running_loop().time()
        if line.lasts_s:
            self.reconnector.succeeded()
        return "it went away"

    async def run(self) -> list[float]:
        """How long it was waited before each try but the first, in seconds."""
        listener: Any = None
        await self.reconnector.run(listener, self.hold)
        assert all(line.aborted for line in self.lines)
        return self.pauses_s[1:]


@on_virtual_time
async def test_pauses_double_up_to_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = Redis(monkeypatch, *[None] * 8)
    assert await redis.run() == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@on_virtual_time
async def test_only_one_that_lasted_begins_them_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = Redis(monkeypatch, 0.0, STEADY_S - 1, STEADY_S, 0.0, 0.0)
    assert await redis.run() == [0.05, 0.1, 0.05, 0.1]


@on_virtual_time
async def test_an_outage_is_logged_once_until_there_was_a_connection_that_served(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    redis = Redis(monkeypatch, None, None, 0.0, None, 1.0, 0.0, None, None)
    await redis.run()
    assert [record.message for record in caplog.records] == [
        "no service at example.org:6379 for now: nobody there",
        "no service at example.org:6379 for now: it went away",
    ]


@on_virtual_time
async def test_who_closes_it_does_not_wait_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = Redis(monkeypatch, *[None] * 20)
    loop = asyncio.get_running_loop()
    loop.call_later(3.0, redis.reconnector.close)
    await redis.run()
    assert loop.time() == pytest.approx(3.0)
