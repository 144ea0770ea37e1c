"""What a rule answers: facts to commit, a reply, and what follows from them after the commit."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec


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


class Message(msgspec.Struct, frozen=True):
    """A command for another actor. It stays in the outbox until that actor has committed it."""

    id: UUID
    kind: str
    key: int
    body: msgspec.Struct


class Decision(msgspec.Struct, gc=False):
    """A rule's whole answer. Nothing of it leaves the actor before the facts are committed.

    `alarm_ms` asks to be called at that time (0 clears it, None leaves it as it is).
    """

    reply: Any
    facts: tuple[Any, ...] = ()
    pushes: tuple[Push, ...] = ()
    messages: tuple[Message, ...] = ()
    alarm_ms: int | None = None


class Known(Exception):  # noqa: N818 - not an error: the answer exists already
    """Raised by a rule that has seen this request id before: the committed result answers."""
