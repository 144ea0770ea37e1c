"""Rain: money that a player splits among those who are active in a room."""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.commands.node import RoomName
from protocol.commands.shape import Answer, Command, CurrencyCode, Event, RequestId
from protocol.commands.wallet import BalanceOf
from protocol.money import Minor


class StartRain(Command):
    """Split an amount evenly among players who were active in a room in the last minutes."""

    room: RoomName
    currency: CurrencyCode
    amount: Minor
    request_id: RequestId
    minutes: Annotated[int, Meta(ge=1, le=60, description="Active within so many minutes.")] = 5


class RainStarted(Answer):
    """What fell. What cannot be split evenly is not taken."""

    room: str
    currency: str
    share: int
    receivers: int
    taken: int
    remainder: int
    balance: BalanceOf


class RainFell(Event, rename={"sender": "from"}):
    """Somebody let it rain in a room."""

    room: str
    sender: Annotated[str, msgspec.Meta(description="Who let it rain.")]
    currency: str
    share: int
    receivers: int
