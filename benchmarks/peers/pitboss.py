"""Pitboss's socket layer: the listener of a real server, with an application that echoes."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import uvloop
from aiohttp import web

from benchmarks.peers.listening import HOST, for_ever, say_port
from protocol.socketio import Argument
from server.sockets.listener import Listener
from server.sockets.options import SocketOptions
from server.sockets.server import SocketServer
from server.sockets.socket import Ack, Socket


class Echo:
    """Answers every event with its arguments, which pass through as they came."""

    namespaces = frozenset({"/"})

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        """Let anybody in."""

    def event(self, _socket: Socket, _name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """Acknowledge with the same arguments."""
        if ack is not None:
            ack.send(*args)

    def disconnected(self, socket: Socket, reason: str) -> None:
        """Nothing is kept of a socket."""


class DecodingEcho(Echo):
    """Makes objects of the arguments first, as the other servers do before anybody asks."""

    def event(self, _socket: Socket, _name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """Acknowledge with equal arguments."""
        if ack is not None:
            ack.send(*(msgspec.json.decode(arg) for arg in args if isinstance(arg, msgspec.Raw)))


async def serve(options: SocketOptions, application: Echo) -> None:
    """Serve until the process is ended."""
    engine = SocketServer(options, application).engine
    runner = web.AppRunner(web.Application(), access_log=None)
    await runner.setup()
    assert runner.server is not None
    say_port(await Listener(engine, runner.server).listen(HOST, 0))
    await for_ever()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ping-interval-ms", type=int, default=SocketOptions().ping_interval_ms)
    parser.add_argument("--decode", action="store_true", help="make objects of the arguments")
    arguments = parser.parse_args()
    # A generator is one client with more connections and packets than any real one.
    options = SocketOptions(
        ping_interval_ms=arguments.ping_interval_ms,
        max_connections=20_000,
        max_connections_per_ip=20_000,
        max_packets_per_second=10_000_000,
        max_packets_per_second_per_ip=10_000_000,
        handshakes_per_second=1_000_000,
    )
    uvloop.run(serve(options, DecodingEcho() if arguments.decode else Echo()))


if __name__ == "__main__":
    main()
