"""One command on its way to one process, and the single answer it may get."""

import asyncio
from typing import TYPE_CHECKING, Any

from protocol.errors import Failure
from tests.simulation.remote import typed

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World


class BrokenReply(Exception):  # noqa: N818 - a caller's fault, and deliberate
    """The caller went away in the moment of its answer."""


class Call:
    """A reply to the runtime, which checks what it is given before the client sees it."""

    def __init__(
        self, world: "World", process: "Process", wallet_id: int, command: Any, number: int
    ) -> None:
        self.world = world
        self.process = process
        self.wallet_id = wallet_id
        self.command = command
        self.number = number
        self.seq_before = world.books.seq(wallet_id)
        """The newest committed row when the command was sent."""
        self.sent_ms = world.now_ms()
        loop = asyncio.get_running_loop()
        self.sent_s = loop.time()
        self.outcome: Any = None
        self.answered = loop.create_future()

    @property
    def origin(self) -> object:
        """The socket that asked."""
        return self

    @property
    def request_id(self) -> Any:
        """The request id of a command that has one."""
        return getattr(self.command, "request_id", None)

    def resolve(self, value: Any) -> None:
        """The command was done, here or elsewhere."""
        self._answer(typed(self.command, value))

    def reject(self, failure: Failure) -> None:
        """The command was refused, or nobody knows."""
        self._answer(failure)

    def _answer(self, outcome: Any) -> None:
        if self.process.dead:
            return  # what a dead process says reaches nobody
        self.world.note(f"answer {self.number}: {outcome}")
        if self.answered.done():
            self.world.fail(f"call {self.number} was answered twice")
            return
        self.outcome = outcome
        failed = isinstance(outcome, Failure)
        self.world.counts[f"answer {outcome.kind.code if failed else type(outcome).__name__}"] += 1
        self.answered.set_result(outcome)
        self.world.answers.check(self)
        if self.world.storm.happens(self.world.plan.broken_reply):
            raise BrokenReply
