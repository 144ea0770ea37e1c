"""A whole Pitboss server that also broadcasts, from inside: no command of a real one does that.

SIGUSR1 has it publish a numbered event to one room, again and again, until SIGUSR2. Players whose
handshake has the field `watch` are in that room. The first argument is the interval in seconds.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.deliveries import EVENT, Tick
from protocol.socketio import MAIN_NAMESPACE
from server.app import Pitboss
from server.cli_run import run, settings_or_exit
from server.floor import Floor
from server.serve import serve
from server.sockets.socket import Socket

START: Final = signal.SIGUSR1
STOP: Final = signal.SIGUSR2

ROOM: Final = "benchmark"
# About what the state of a crash round or a line of chat takes.
_TEXT: Final = "All who are in this room are told this, and nobody else is." * 3


class Audience:
    """The game floor, whose watchers enter the room as they come."""

    def __init__(self, floor: Floor) -> None:
        self.namespaces = floor.namespaces
        self.event = floor.event
        self.disconnected = floor.disconnected
        self._let_in = floor.connect

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        """Let a player in; raises the Failure they are told."""
        await self._let_in(socket, auth)
        if "watch" in auth:
            socket.join(ROOM)


class Broadcasting(Pitboss):
    """The node, with a broadcast on a timer."""

    async def start(self) -> int:
        """Start the node, and wait for the signals."""
        self.sockets.application = Audience(self.floor)
        self._loop = asyncio.get_running_loop()
        self._interval_s = float(sys.argv[1])
        self._number = 0
        self._next: asyncio.TimerHandle | None = None
        self._loop.add_signal_handler(START, self._begin)
        self._loop.add_signal_handler(STOP, self._end)
        return await super().start()

    def _begin(self) -> None:
        self._publish(self._loop.time())

    def _end(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _publish(self, due_at: float) -> None:
        """Publish now, and again one interval after the time at which this was due."""
        due_at += self._interval_s
        self._next = self._loop.call_at(due_at, self._publish, due_at)
        self._number += 1
        tick = Tick(self._number, time.perf_counter_ns(), _TEXT)
        self.sockets.hub.emit(MAIN_NAMESPACE, ROOM, EVENT, tick)


if __name__ == "__main__":
    sys.exit(run(serve(settings_or_exit(), Broadcasting)))
