"""Where answers go: to a socket's acknowledgement, or to a waiting HTTP request."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from protocol.errors import Failure
from server.answer import Refusal, Success, refusal, success
from server.sockets.socket import Ack, Socket

log = logging.getLogger(__name__)

OK: Final = "ok"


class Answer(ABC):
    """A reply that counts how it ended. `tally` is the command's; the router sets it."""

    __slots__ = ("command", "origin", "tally", "trace")

    origin: Socket | None

    def __init__(self) -> None:
        self.tally: Counter[str] | None = None
        self.command = ""
        # What the logs of one command have in common; only set while somebody reads them.
        self.trace: str | None = None

    def resolve(self, value: Any) -> None:
        """The command was done, or was refused and yet something is committed."""
        if type(value) is Failure:
            self.reject(value)
            return
        if self.tally is not None:
            self.tally[OK] += 1
        if self.trace is not None:
            log.debug("answered", extra={"request_id": self.trace, "command": self.command})
        self.give(value)

    def reject(self, failure: Failure) -> None:
        """The command was refused."""
        if self.tally is not None:
            self.tally[failure.kind.code] += 1
        if self.trace is not None:
            log.debug(
                "refused: %s",
                failure.kind.code,
                extra={"request_id": self.trace, "command": self.command},
            )
        self.refuse(failure)

    @abstractmethod
    def give(self, value: Any) -> None:
        """Send the answer."""

    @abstractmethod
    def refuse(self, failure: Failure) -> None:
        """Send the error."""


class SocketAnswer(Answer):
    """The acknowledgement of a socket's event. Without one, the answer is dropped."""

    __slots__ = ("_ack", "_clock")

    def __init__(self, socket: Socket, ack: Ack | None, clock: Callable[[], int]) -> None:
        super().__init__()
        # Only a socket that gets the answer is up to date by it.
        self.origin = socket if ack is not None else None
        self._ack = ack
        self._clock = clock

    def give(self, value: Any) -> None:
        """Acknowledge with data."""
        if self._ack is not None:
            self._ack.send(success(value, self._clock()))

    def refuse(self, failure: Failure) -> None:
        """Acknowledge with the error."""
        if self._ack is not None:
            self._ack.send(refusal(failure, self._clock()))


class HttpAnswer(Answer):
    """The body of an HTTP response. A client that went away leaves a cancelled future."""

    __slots__ = ("_clock", "_future")

    origin = None

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__()
        self._clock = clock
        self._future: asyncio.Future[tuple[int, Success | Refusal]] = (
            asyncio.get_running_loop().create_future()
        )

    async def wait(self) -> tuple[int, Success | Refusal]:
        """The HTTP status and the body, once there is one."""
        return await self._future

    def give(self, value: Any) -> None:
        """Respond with data."""
        if not self._future.done():
            self._future.set_result((200, success(value, self._clock())))

    def refuse(self, failure: Failure) -> None:
        """Respond with the error."""
        if not self._future.done():
            self._future.set_result((failure.kind.status, refusal(failure, self._clock())))
