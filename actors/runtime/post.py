"""Delivery of messages between actors: at least once, until the receiver has committed them."""

import logging
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from actors.decision import Message
from actors.runtime.answer import reject, resolve
from actors.runtime.ports import Outbox, Reply
from protocol.errors import STORAGE_UNAVAILABLE, Failure

log = logging.getLogger(__name__)

# Messages under way at once. Above it a message stays in the outbox until a later sweep.
MAX_UNDER_WAY: Final = 10_000
# Messages that one sweep takes from the outbox.
SWEEP: Final = 500


class Post:
    """Messages whose sender has committed, on their way to receivers."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._send: Callable[[str, int, Any, Reply], None] | None = None
        self._under_way: set[UUID] = set()

    @property
    def under_way(self) -> int:
        """How many messages wait for their receiver's commit."""
        return len(self._under_way)

    def bind(self, send: Callable[[str, int, Any, Reply], None]) -> None:
        """Tell the post how commands reach actors."""
        self._send = send

    def deliver(self, message: Message, reply: Reply | None = None) -> None:
        """Hand `message` to its actor, unless it is on its way already.

        `reply` is who waits for that actor's answer. Where the message has to wait in the outbox
        they are told that the outcome is unknown: it is committed that it will arrive.
        """
        if message.id in self._under_way or len(self._under_way) >= MAX_UNDER_WAY:
            if reply is not None:
                reject(reply, Failure(STORAGE_UNAVAILABLE))
            return
        assert self._send is not None, "the post is bound before the first delivery"
        self._under_way.add(message.id)
        self._send(message.kind, message.key, message.body, _Delivery(self, message, reply))

    async def sweep(self) -> int:
        """Deliver again what has waited too long in the outbox. Returns how many were found."""
        overdue = await self._outbox.overdue(SWEEP)
        for message in overdue:
            self.deliver(message)
        return len(overdue)

    def delivered(self, message: Message) -> None:
        """The receiver has committed it."""
        self._under_way.discard(message.id)
        self._outbox.forget(message.id)

    def kept(self, message: Message, failure: Failure) -> None:
        """It could not be taken now: it stays in the outbox, and a sweep sends it again."""
        self._under_way.discard(message.id)
        if not failure.kind.temporary:
            log.warning("message %s was refused and is kept: %s", message.id, failure)


class _Delivery:
    """The reply to a delivered message, which tells who waits for it, too."""

    __slots__ = ("_reply", "message", "post")

    def __init__(self, post: Post, message: Message, reply: Reply | None) -> None:
        self.post = post
        self.message = message
        self._reply = reply

    @property
    def origin(self) -> object | None:
        return None if self._reply is None else self._reply.origin

    def resolve(self, value: Any) -> None:
        self.post.delivered(self.message)
        if self._reply is not None:
            resolve(self._reply, value)

    def reject(self, failure: Failure) -> None:
        self.post.kept(self.message, failure)
        if self._reply is not None:
            # Nothing was done, says a passing refusal: not yet, as the message stays on its way.
            known = not failure.kind.temporary
            reject(self._reply, failure if known else Failure(STORAGE_UNAVAILABLE))
