"""How these programs tell where they listen."""

import asyncio
from typing import Final

from aiohttp import web

HOST: Final = "127.0.0.1"
LISTENING: Final = "listening on port "


def say_port(port: int) -> None:
    """Tell whoever started this program."""
    print(f"{LISTENING}{port}", flush=True)


async def for_ever() -> None:
    """Wait until the process is ended."""
    await asyncio.Event().wait()


async def serve_app(app: web.Application) -> None:
    """Serve an aiohttp application on a free port until the process is ended."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    say_port(runner.addresses[0][1])
    await for_ever()
