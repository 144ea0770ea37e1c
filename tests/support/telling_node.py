"""A node of the socket layer in a process of its own, which tells a room one number after another.

It says where it listens, and what its epoch is. Then it reads lines: `tell 7` has it begin at 7, as
soon as somebody is inside; at `end` the room is told that this was all.
"""

import asyncio
import itertools
import json
import sys
from typing import Final

from actors.runtime.exchange import Exchange
from server.cluster.recoveries import Recoveries
from server.cluster.recovery_log import RecoveryLog
from server.sockets.options import SocketOptions
from server.sockets.socket import Socket
from storage.streams import RedisStreams
from tests.sockets.application import Served, serve
from tests.support.memory_bus import MemoryBus, MemoryHub

CLUSTER: Final = "telling"
ROOM: Final = "table"
PAUSE_S: Final = 0.002


async def live(url: str) -> None:
    """Serve, and do what the lines say."""
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    async with serve(SocketOptions(ping_interval_ms=500, ping_timeout_ms=500)) as served:
        hub, recovery = served.server.hub, served.server.recovery
        kept_s = recovery.bounds.kept_s
        streams = RedisStreams(url, CLUSTER, hub.epoch, int(kept_s * 1_000))
        log = RecoveryLog(streams, hub, hub.epoch, kept_s)
        # Nobody is a member any more when a client comes: they were killed.
        exchange = Exchange(hub.epoch, MemoryBus(MemoryHub(), hub.epoch))
        hub.event_log = log
        recovery.formers = Recoveries(exchange, streams, recovery, _nobody, _no_states)
        served.server.engine.before_write = log.flush
        running = asyncio.create_task(streams.run())
        await served.until(lambda: streams.connected)
        sys.stdout.write(json.dumps({"port": served.port, "epoch": hub.epoch}) + "\n")
        sys.stdout.flush()
        telling: asyncio.Task[None] | None = None
        while line := (await lines.readline()).decode().split():
            if line[0] == "tell":
                telling = asyncio.create_task(_tell(served, int(line[1])))
            elif telling is not None:
                telling.cancel()
                hub.emit("/", ROOM, "ended", {})
        running.cancel()


async def _tell(served: Served, first: int) -> None:
    hub = served.server.hub
    await served.until(lambda: served.server.sockets)
    for number in itertools.count(first):
        if number % 5:
            hub.emit("/", ROOM, "said", {"n": number})
        else:
            hub.sockets_of("/", ROOM)[0].emit("said", {"n": number})
        await asyncio.sleep(PAUSE_S)


def _nobody(_member: str) -> bool:
    return False


def _no_states(_socket: Socket) -> None:
    """The newest states are no matter here."""


if __name__ == "__main__":
    asyncio.run(live(sys.argv[1]))
