"""An event of a room, on its way to other nodes."""

from typing import Any, Final

import msgspec

from protocol.socketio import MAIN_NAMESPACE

# How it is told there, see `Announcement`: the newest of its key, one by one, or in lists.
STATE: Final = "state"
NOTICE: Final = "notice"
ITEM: Final = "item"
# Nothing is told: something was, and is lost on its way.
LOST: Final = "lost"

# What members say to all others about rooms. One is there, and may have been away.
HERE: Final = "here"
# One has failed to tell more rooms than it can name.
LOST_MUCH: Final = "lost much"
# One leaves, and all that it told is on its way.
FAREWELL: Final = "farewell"


class RoomEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event that a room is told.

    `number` grows with everything that its member tells and that may not be missed; `previous` is
    the number of what it told the same room before that, 0 if it does not know. Volatile things
    have none. `origin` is who asked for a change, by member and ask, and knows the state already.
    """

    kind: str
    name: str
    data: Any
    number: int = 0
    previous: int = 0
    key: str = ""
    origin: tuple[str, int] | None = None
    urgent: bool = False


decode: Final = msgspec.msgpack.Decoder(RoomEvent).decode


def channel_of(room: str, namespace: str = MAIN_NAMESPACE) -> str:
    """What a room is called on the bus. No namespace has a space in it."""
    return f"{namespace} {room}"
