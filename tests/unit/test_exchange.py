"""The exchange: what bears the cluster's seal is heard, and nothing else is."""

import asyncio
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from actors.runtime.exchange import Exchange
from actors.runtime.reminder import Reminder
from actors.runtime.seal import Seal

KEY = b"the key of the cluster"


class Wire:
    """Takes what one member says, and keeps it."""

    connected = True

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def bind(self, listener: object) -> None:
        """Nothing is heard over it."""

    def post(self, _member: str, frame: bytes) -> bool:
        self.frames.append(frame)
        return True

    def post_all(self, frame: bytes) -> bool:
        return self.post("", frame)

    def publish(self, room: str, frame: bytes) -> bool:
        return self.post(room, frame)


class Member:
    """One member, and what it has heard."""

    def __init__(self, name: str, key: bytes = KEY) -> None:
        self.wire = Wire()
        wire: Any = self.wire
        self.exchange = Exchange(name, wire, key)
        self.heard: list[Any] = []
        self.exchange.listen("said", self._hear)
        self.exchange.listen_rooms(lambda _, sender, body: self._hear(sender, body))

    def _hear(self, sender: str, body: msgspec.Raw) -> None:
        self.heard.append((sender, msgspec.msgpack.decode(body)))

    def says(self, say: Callable[[Exchange], bool]) -> bytes:
        """What it sends."""
        assert say(self.exchange)
        return self.wire.frames.pop()


async def test_members_hear_each_other() -> None:
    a, b = Member("a"), Member("b")
    b.exchange.heard(a.says(lambda to: to.say("b", "said", 1)))
    b.exchange.heard(a.says(lambda to: to.say_all("said", 2)))
    b.exchange.heard_room("bar", a.says(lambda to: to.publish("bar", 3)))
    assert b.heard == [("a", 1), ("a", 2), ("a", 3)]
    assert b.exchange.forged == 0


async def test_a_stranger_is_not_heard(caplog: pytest.LogCaptureFixture) -> None:
    stranger, b = Member("a", b"another key"), Member("b")
    b.exchange.heard(stranger.says(lambda to: to.say("b", "said", 1)))
    b.exchange.heard(stranger.says(lambda to: to.say_all("said", 2)))
    b.exchange.heard_room("bar", stranger.says(lambda to: to.publish("bar", 3)))
    b.exchange.heard(msgspec.msgpack.encode(("said", "a", 4)))
    b.exchange.heard(b"")
    assert b.heard == []
    assert b.exchange.forged == 5
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_of_frames_that_cannot_be_read_the_log_has_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    b = Member("b")
    for said in (b"", b"\xc1", msgspec.msgpack.encode(("said", 1))):
        b.exchange.heard(Seal(KEY).sealed(b"to:b", said))
    assert b.heard == []
    assert b.exchange.forged == 0
    (record,) = caplog.records
    assert "frames cannot be read, 1 so far" in record.message


async def test_what_was_said_elsewhere_is_not_heard_here() -> None:
    a, b = Member("a"), Member("b")
    b.exchange.heard(a.says(lambda to: to.say("c", "said", 1)))
    b.exchange.heard_room("bar", a.says(lambda to: to.publish("pit", 2)))
    b.exchange.heard(a.says(lambda to: to.publish("bar", 3)))
    b.exchange.heard_room("all", a.says(lambda to: to.say_all("said", 4)))
    assert b.heard == []
    assert b.exchange.forged == 4


async def test_no_byte_can_be_changed() -> None:
    a, b = Member("a"), Member("b")
    frame = a.says(lambda to: to.say("b", "said", "words"))
    for at in range(len(frame)):
        b.exchange.heard(frame[:at] + bytes((frame[at] ^ 1,)) + frame[at + 1 :])
        b.exchange.heard(frame[:at])
    assert b.heard == []
    b.exchange.heard(frame)
    assert b.heard == [("a", "words")]


def test_nothing_of_the_destination_passes_for_what_is_said() -> None:
    seal = Seal(KEY)
    sent = seal.sealed(b"to:b", b"cd")
    assert seal.opened(b"to:b", sent) == b"cd"
    assert seal.opened(b"to:bc", sent[:16] + b"d") is None


def test_a_reminder_is_due_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    times_s = iter((0.0, 0.1, 59.9, 60.0, 119.9, 500.0))
    loop = SimpleNamespace(time=lambda: next(times_s))
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    reminder = Reminder()
    assert [reminder.due() for _ in range(6)] == [True, False, False, True, False, True]
