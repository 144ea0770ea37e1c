"""Every clause is tried on both WebSockets, picows' and aiohttp's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import pytest_asyncio
import uvloop

from tests.conformance.running import Running, engineio_server, socketio_server


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test here on the loop of production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=[False, True], ids=["picows", "aiohttp"])
def fallback(request: pytest.FixtureRequest) -> bool:
    """Whether aiohttp serves the WebSockets."""
    return bool(request.param)


@pytest_asyncio.fixture
async def engineio(fallback: bool) -> AsyncIterator[Running]:
    """A plain Engine.IO server that echoes."""
    async with engineio_server(fallback=fallback) as running:
        yield running


@pytest_asyncio.fixture
async def socketio(fallback: bool) -> AsyncIterator[Running]:
    """A Socket.IO server of the suites' application."""
    async with socketio_server(fallback=fallback) as running:
        yield running
