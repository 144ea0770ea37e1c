"""A server of the socket layer for each test, on both loops that it promises to work on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
import pytest_asyncio
import uvloop

from tests.sockets.application import Served, serve
from tests.sockets.two_nodes import Member, two_nodes


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test here on uvloop, as production does, and on asyncio's own loop."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as running:
        yield running


@pytest_asyncio.fixture
async def nodes() -> AsyncIterator[tuple[Member, Member]]:
    async with two_nodes() as pair:
        yield pair


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield session
