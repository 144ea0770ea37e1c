"""A tiny kind of actor: it counts, remembers request ids, and asks to be called."""

from typing import Any
from uuid import UUID

import msgspec

from actors.decision import Announcement, Context, Decision, Known, Message, Push
from actors.kind import Kind, Rule
from actors.runtime.alarms import Alarm
from protocol.errors import INSUFFICIENT_BALANCE, REQUEST_MISMATCH, Failure

COUNTER = "counter"
REMEMBERED = 4


class Add(msgspec.Struct, frozen=True):
    """Count `amount`. `alarm_ms` as in a Decision; `tell` sends a message to another counter.

    `also` is announced after the new count.
    """

    request_id: UUID
    amount: int = 1
    alarm_ms: int | None = None
    tell: int | None = None
    also: tuple[Announcement, ...] = ()


class Read(msgspec.Struct, frozen=True):
    """The count."""


class Refuse(msgspec.Struct, frozen=True):
    """Always refused, with the count in its details."""


class RefuseUnlessDone(msgspec.Struct, frozen=True):
    """Refused with the count in its details, unless its request id was counted at any time."""

    request_id: UUID
    amount: int = 1


class Break(msgspec.Struct, frozen=True):
    """Its rule has a fault."""


class Added(msgspec.Struct, frozen=True):
    """The count has changed: the one kind of fact."""

    key: int
    seq: int
    amount: int
    request_id: UUID
    alarm_ms: int | None


class Count:
    """The state of a counter."""

    def __init__(self, key: int) -> None:
        self.key = key
        self.seq = 0
        self.total = 0
        self.alarm_ms = 0
        self.recent: list[UUID] = []


def _add(state: Count, command: Add, _context: Context) -> Decision:
    if command.request_id in state.recent:
        raise Known
    seq, total = state.seq + 1, state.total + command.amount
    fact = Added(state.key, seq, command.amount, command.request_id, command.alarm_ms)
    push = Push(f"counter:{state.key}", "counted", "", total)
    messages: tuple[Message, ...] = ()
    if command.tell is not None:
        leg = UUID(int=1_000_000 * state.key + seq)
        messages = (Message(leg, COUNTER, command.tell, Add(leg, command.amount)),)
    return Decision(total, (fact,), (push, *command.also), messages, command.alarm_ms)


def _replay(command: Add | RefuseUnlessDone, fact: Added) -> str:
    if command.amount != fact.amount:
        raise Failure(REQUEST_MISMATCH)
    return f"replay of {fact.seq}"


def _refuse(state: Count, _command: Refuse, _context: Context) -> Decision:
    raise Failure(INSUFFICIENT_BALANCE, available=state.total)


def _refuse_unless_done(state: Count, _command: RefuseUnlessDone, _context: Context) -> Decision:
    raise Known(Failure(INSUFFICIENT_BALANCE, available=state.total))


def _break(_state: Count, _command: Break, _context: Context) -> Decision:
    raise ZeroDivisionError


def _ring(state: Count, _command: Alarm, context: Context) -> Decision:
    fact = Added(state.key, state.seq + 1, 100, UUID(int=context.now_ms), 0)
    return Decision(None, (fact,))


def _apply(state: Count, fact: Added) -> None:
    assert fact.seq == state.seq + 1, "facts are gapless"
    state.seq = fact.seq
    state.total += fact.amount
    state.recent = [*state.recent, fact.request_id][-REMEMBERED:]
    if fact.alarm_ms is not None:
        state.alarm_ms = fact.alarm_ms


def _restore(key: int, snapshot: bytes | None) -> Count:
    state = Count(key)
    if snapshot is not None:
        state.seq, state.total, *recent = map(int, snapshot.split())
        state.recent = [UUID(int=one) for one in recent]
    return state


def _snapshot(state: Count) -> bytes:
    numbers = (state.seq, state.total, *(one.int for one in state.recent))
    return " ".join(map(str, numbers)).encode()


RULES: dict[type, Rule] = {
    Add: Rule(_add, _replay),
    Read: Rule(lambda state, _command, _context: Decision(state.total)),
    Refuse: Rule(_refuse),
    RefuseUnlessDone: Rule(_refuse_unless_done, _replay),
    Break: Rule(_break),
    Alarm: Rule(_ring),
}

KIND = Kind(
    COUNTER,
    RULES,
    _apply,
    _restore,
    _snapshot,
    lambda state: state.seq,
    lambda state: state.alarm_ms or None,
)


def number(n: int) -> UUID:
    """A request id that is readable in a failing test."""
    return UUID(int=n)


def described(outcome: Any) -> Any:
    """An outcome as something that compares: a refusal is its code."""
    return outcome.kind.code if isinstance(outcome, Failure) else outcome
