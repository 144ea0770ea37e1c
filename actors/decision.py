"""What a rule answers: facts to commit, a reply, and what follows from them after the commit."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import msgspec

from protocol.errors import Failure


class Context(msgspec.Struct, gc=False):
    """What a rule may know of the world: the time, and randomness it asks for."""

    now_ms: int
    entropy: Callable[[], str]
    """A fresh secret of 256 bits in 64 hexadecimal digits."""


class Push(msgspec.Struct, frozen=True, gc=False):
    """The newest state of something, for everyone in a room: later ones replace earlier ones.

    `key` says of what (`wallet:updated` has one state per currency).
    """

    room: str
    event: str
    key: str
    data: Any


class Notice(msgspec.Struct, frozen=True, gc=False):
    """Something that happened, for everyone in a room: each one is told, in order.

    A `volatile` one may pass by a socket that cannot take it now, and is not sent again; a large
    room is told the newest of its name. An `urgent` one does not wait for the rest that a large
    room takes between two rounds of telling.
    """

    room: str
    event: str
    data: Any
    volatile: bool = False
    urgent: bool = False


class Item(msgspec.Struct, frozen=True, gc=False):
    """One of many things that happen: a room is told them as a list, now and then.

    The event carries `{"items": [...], "more": n}`, `more` being how many were too many to list.
    """

    room: str
    event: str
    data: Any


Announcement = Push | Notice | Item
"""What a room is to be told."""


class Message(msgspec.Struct, frozen=True):
    """A command for another actor. It stays in the outbox until that actor has committed it."""

    id: UUID
    kind: str
    key: int
    body: msgspec.Struct


class _Deferred:
    """The type of DEFERRED alone."""


DEFERRED: Final = _Deferred()
"""The reply of a decision whose message goes on to the actor that answers.

If that answer is lost, the caller's retry finds what was committed.
"""


class Decision(msgspec.Struct, gc=False):
    """A rule's whole answer. Nothing of it leaves the actor before the facts are committed.

    `reply` is the answer, a Failure where the command is refused and yet something has happened, or
    DEFERRED. `alarm_ms` asks to be called at that time (0 clears it, None leaves it as it is).
    """

    reply: Any
    facts: tuple[Any, ...] = ()
    pushes: tuple[Announcement, ...] = ()
    messages: tuple[Message, ...] = ()
    alarm_ms: int | None = None


class Known(Exception):  # noqa: N818 - not an error: the answer exists already
    """Raised by a rule that has seen this request id before: the committed result answers.

    `otherwise` is for a rule that may have seen it longer ago than a state remembers: it answers
    where nothing is committed. Without it the command is decided then.
    """

    def __init__(self, otherwise: Failure | None = None) -> None:
        super().__init__()
        self.otherwise = otherwise
