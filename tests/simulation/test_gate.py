"""A process stands still, goes on and dies, while its world goes on."""

import asyncio
from collections.abc import Callable

from tests.simulation.gate import Abroad, ProcessLoop
from tests.simulation.loop import on_virtual_time


def started(work: Callable[[ProcessLoop], object]) -> ProcessLoop:
    """A process that begins with `work`."""
    process = ProcessLoop(asyncio.get_running_loop())
    with process.entered():
        work(process)
    return process


@on_virtual_time
async def test_a_paused_process_does_nothing_and_then_everything_in_order() -> None:
    done: list[tuple[str, float]] = []

    def note(what: str) -> None:
        done.append((what, asyncio.get_running_loop().time()))

    process = started(lambda _process: None)
    process.call_later(1.0, note, "timer")
    process.pause()
    process.take(note, "first")
    await asyncio.sleep(2.0)
    process.take(note, "second")
    assert done == []
    process.go_on()
    process.take(note, "third")
    assert done == [("first", 2.0), ("timer", 2.0), ("second", 2.0), ("third", 2.0)]
    process.close()


@on_virtual_time
async def test_what_a_process_starts_is_its_own() -> None:
    ran: list[object] = []

    async def work() -> None:
        await asyncio.sleep(1.0)
        async with asyncio.timeout(1.0):
            await asyncio.sleep(0.5)
        ran.append(asyncio.get_running_loop())

    process = started(lambda process: process.create_task(work()))
    await asyncio.sleep(2.0)
    assert ran == [process]
    process.close()


@on_virtual_time
async def test_what_happens_outside_does_not_wait_for_a_paused_process() -> None:
    happened: list[float] = []
    heard: list[float] = []

    class Server:
        async def serve(self) -> str:
            await asyncio.sleep(1.0)
            happened.append(asyncio.get_running_loop().time())
            return "served"

    async def ask(process: ProcessLoop) -> None:
        assert await Abroad(process, Server()).serve() == "served"
        heard.append(process.time())

    process = started(lambda process: process.create_task(ask(process)))
    await asyncio.sleep(0.5)
    process.pause()
    await asyncio.sleep(2.5)
    process.go_on()
    await asyncio.sleep(0.1)
    assert (happened, heard) == ([1.0], [3.0])
    process.close()


@on_virtual_time
async def test_a_killed_process_unwinds_unheard() -> None:
    said: list[str] = []
    unwound: list[bool] = []

    class Server:
        def say(self, what: str) -> None:
            said.append(what)

        async def serve(self) -> None:
            await asyncio.sleep(1_000.0)

    async def work(process: ProcessLoop) -> None:
        server = Abroad(process, Server())
        server.say("here")
        try:
            await server.serve()
        finally:
            server.say("gone")
            unwound.append(True)

    process = started(lambda process: process.create_task(work(process)))
    process.call_later(5.0, said.append, "late")
    await asyncio.sleep(1.0)
    process.kill()
    await asyncio.sleep(10.0)
    assert (said, unwound) == (["here"], [True])
    process.close()
