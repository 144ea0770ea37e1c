"""Hostile peers against a server in a process of its own: the application of the official suites.

It cannot be looked into, so what counts is what the system sees: it lives, says nothing on its
standard error, gives its file descriptors back, and its memory stays flat.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random
from typing import IO, Final

import psutil

from tests.fuzz.case import Finding, require
from tests.fuzz.coverage import ROOT
from tests.fuzz.honest import clients
from tests.fuzz.hostile import Gang
from tests.fuzz.rounds import GONE_S, LOOK_S, MAX_GROWTH_BYTES, Tally, heard, rss_bytes

# The suites' 200 ms are too short for honest clients on a machine that others use.
_PING_TIMEOUT_MS: Final = 2_000
_PEERS: Final = 40
_WARM_ROUNDS: Final = 10


class Program:
    """The running application."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self._process = process
        self._errors = errors
        assert process.stdout is not None
        self.port = int(process.stdout.readline().rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def descriptors(self) -> int:
        """How many file descriptors it has open."""
        return int(psutil.Process(self.pid).num_fds())

    def check(self) -> None:
        """Raise `Finding` if it has ended or complained."""
        require(self._process.poll() is None, "the program goes on", str(self._process.returncode))
        self._errors.seek(0)
        said = self._errors.read()
        require(not said, "hostile peers cause no errors", said[-3_000:])


@asynccontextmanager
async def program(port: int, *, fallback: bool) -> AsyncIterator[Program]:
    """The application in a process, for as long as it is needed; `fallback` is without picows."""
    command = [sys.executable, "-m", "tests.conformance.app", "--port", str(port)]
    command += ["--ping-timeout", str(_PING_TIMEOUT_MS)]
    command += ["--fallback"] if fallback else []
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield Program(process, errors)
        finally:
            process.terminate()


async def besiege_program(seed: int, seconds: float, port: int, *, fallback: bool) -> Tally:
    """Play rounds against the program until the time is up."""
    tally = Tally()
    end_s = time.monotonic() + seconds
    async with program(port, fallback=fallback) as besieged, AsyncExitStack() as stack:
        honest = await clients(besieged.port, stack, "message-with-ack")
        tasks = [asyncio.create_task(client.run()) for client in honest]
        try:
            await heard(honest, tasks)
            calm = besieged.descriptors()
            while time.monotonic() < end_s:
                await _round(besieged, tally, seed)
                await heard(honest, tasks)
                await _settle(besieged, calm)
                _check_memory(besieged, tally)
        except Finding as finding:
            again = f"python -m tests.fuzz --only program --seed {seed}"
            tally.found.append(f"{finding}\nagain: {again}")
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        tally.answers = sum(client.answers for client in honest)
    return tally


async def _round(besieged: Program, tally: Tally, seed: int) -> None:
    gang = Gang(besieged.port)
    rngs = [Random(f"{seed} {tally.rounds} {peer}") for peer in range(_PEERS)]
    await asyncio.gather(*map(gang.play, rngs))
    gang.leave()
    tally.rounds += 1
    tally.peers += _PEERS
    tally.connections += len(gang.peers)
    tally.scripts += Counter(gang.played)


async def _settle(besieged: Program, calm: int) -> None:
    """Wait until the descriptors of hostile peers have been given back."""
    end_s = time.monotonic() + GONE_S
    while (open_now := besieged.descriptors()) > calm:
        require(time.monotonic() < end_s, "descriptors are given back", f"{open_now - calm} more")
        await asyncio.sleep(LOOK_S)
    besieged.check()


def _check_memory(besieged: Program, tally: Tally) -> None:
    rss = tally.rss_bytes
    rss.append(rss_bytes(besieged.pid))
    if len(rss) > _WARM_ROUNDS:
        growth = min(rss[-5:]) - max(rss[:_WARM_ROUNDS])
        require(growth < MAX_GROWTH_BYTES, "memory is flat", f"{growth} bytes more")
