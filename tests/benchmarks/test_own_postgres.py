"""Nothing stays behind of a benchmark that is cut off: no process, no folder."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.interrupts import sigterm_interrupts
from benchmarks.own_postgres import own_folder, own_postgres
from benchmarks.supervised import supervised
from storage.postmaster import Postmaster, socket_dir


async def test_a_killed_server_leaves_no_postgresql() -> None:
    left: list[Postmaster] = []
    folders: list[Path] = []

    async def cut_off() -> None:
        async with supervised() as server:
            cluster = server.data_dir / "postgres"
            postmaster, sockets = Postmaster.find(cluster), socket_dir(cluster)
            assert postmaster is not None
            assert sockets is not None
            left.append(postmaster)
            folders.extend([server.data_dir, sockets])
            server.kill(postgres=False)
            await server.process.wait()
            assert postmaster.alive()
            assert all(folder.exists() for folder in folders)
            raise KeyError("cut off")

    with pytest.raises(KeyError, match="cut off"):
        await cut_off()
    assert not left[0].alive()
    assert not any(folder.exists() for folder in folders)


async def test_a_start_that_is_cut_off_is_undone(tmp_path: Path) -> None:
    async def start() -> None:
        async with own_postgres(tmp_path):
            pytest.fail("it was cut off long before")

    starting = asyncio.create_task(start())
    while not list(tmp_path.glob("postgres*")):
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (tmp_path / "postgres" / "PG_VERSION").exists()
    assert Postmaster.find(tmp_path / "postgres") is None
    assert not (tmp_path / "postgres.socket").exists()


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["shown", "hidden"])
def in_the_background(request: pytest.FixtureRequest) -> Iterator[None]:
    """Interrupts come as in a terminal, or are ignored as in a shell's background."""
    before = signal.signal(signal.SIGINT, request.param)
    try:
        yield
        assert signal.getsignal(signal.SIGINT) is request.param
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("in_the_background")
def test_sigterm_is_an_interrupt() -> None:
    folders: list[Path] = []

    def work() -> None:
        with own_folder() as folder:
            folders.append(folder)
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not folders[0].exists()


@pytest.mark.usefixtures("in_the_background")
def test_sigterm_cancels_what_runs_in_a_loop() -> None:
    ended = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_interrupts(), asyncio.Runner() as runner:
        runner.run(work())
    assert ended == [True]
    assert signal.getsignal(signal.SIGTERM) is before
