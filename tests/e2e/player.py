"""A player with the Python client, for end-to-end tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import socketio

Fields = dict[str, Any]


@asynccontextmanager
async def playing(url: str, token: str, **options: Any) -> AsyncIterator[socketio.AsyncClient]:
    """A connected client, disconnected afterwards."""
    client = socketio.AsyncClient(reconnection=False)
    options.setdefault("transports", ["websocket"])
    await client.connect(url, auth={"token": token}, **options)
    try:
        yield client
    finally:
        await client.disconnect()


def bet(**changes: Any) -> Fields:
    """A small dice bet with a request id of its own."""
    fields: Fields = {
        "stake": 100,
        "currency": "PLAY",
        "target": 5050,
        "direction": "over",
        "request_id": str(uuid4()),
    }
    return {**fields, **changes}
