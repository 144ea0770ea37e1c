"""The parts of the echo benchmark that decide what its figures mean."""

import socket
from collections.abc import Iterator
from time import perf_counter_ns

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.echo import Echoed, Load, Series, notes_of, ratios
from benchmarks.echo_generator import EchoOutcome
from benchmarks.echoes import COUNT, Echoes, EchoLine, Tally
from benchmarks.frames import FrameError, masked, split, unmasked
from benchmarks.line import LineError
from benchmarks.peer_process import BARE_AIOHTTP, NODE, PEERS, PITBOSS
from benchmarks.usage import Usage

ECHOES = Echoes()
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
JOINED = SWITCHING + unmasked(b'0{"sid":"a"}') + unmasked(b'40{"sid":"b"}')
PING = unmasked(b"2")


def unmask(frame: bytes) -> bytes:
    """The payload of a short client frame."""
    begin = {126: 4, 127: 10}.get(frame[1] & 127, 2)
    mask, hidden = frame[begin : begin + 4], frame[begin + 4 :]
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(hidden))


class Wire:
    """A line with the server's end of its network connection."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.line = EchoLine(ECHOES, self.tally)
        self.line.socket, self.server = socket.socketpair()
        for end in (self.line.socket, self.server):
            end.setblocking(False)
        self.line.received(JOINED, 0)
        assert self.line.joined
        self.sent()

    def sent(self) -> bytes:
        """What the line has written."""
        return self.server.recv(1_000_000)


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.line.socket.close()
    made.server.close()


def answers(first: int, count: int) -> bytes:
    return b"".join(unmasked(ECHOES.answers[(first + n) % COUNT]) for n in range(count))


@given(st.binary(max_size=70_000))
def test_a_masked_frame_hides_its_payload_and_no_more(payload: bytes) -> None:
    assert unmask(masked(payload)) == payload


@given(st.lists(st.binary(max_size=300)), st.integers(0, 10))
def test_frames_are_read_whole_and_the_rest_is_kept(payloads: list[bytes], cut: int) -> None:
    data = b"".join(map(unmasked, payloads))
    at = max(0, len(data) - cut)
    first, rest = split(data[:at])
    second, nothing = split(rest + data[at:])
    assert ([*first, *second], nothing) == (payloads, b"")


def test_a_closing_frame_is_an_error() -> None:
    with pytest.raises(FrameError):
        split(unmasked(b"2") + b"\x88\x02\x03\xe8")


def test_messages_carry_their_answers() -> None:
    request = unmask(ECHOES.requests(7, 1))
    answer = ECHOES.answers[7]
    assert request == answer.replace(b"43", b"42", 1).replace(b"[", b'["echo",', 1)
    assert len(set(ECHOES.answers)) == COUNT


def test_right_answers_count_and_are_followed_by_new_messages(wire: Wire) -> None:
    wire.tally.measuring = True
    wire.line.send(3, 1_000)
    assert wire.sent() == ECHOES.requests(0, 3)
    wire.line.received(answers(0, 2), 4_000)
    assert wire.sent() == ECHOES.requests(3, 2)
    wire.line.received(answers(2, 1), 9_000)
    assert wire.sent() == ECHOES.requests(5, 1)
    assert (wire.tally.latency.count, wire.tally.outstanding) == (3, 3)
    assert wire.tally.latency.max == 8_000
    assert 3_000 <= wire.tally.latency.percentile(50) <= 3_000 * 1.01


def test_nothing_follows_at_the_end(wire: Wire) -> None:
    wire.line.send(1, 0)
    wire.sent()
    wire.tally.refill = False
    wire.line.received(answers(0, 1), 1)
    with pytest.raises(BlockingIOError):
        wire.sent()
    assert wire.tally.outstanding == 0


def test_answers_in_pieces_and_among_heartbeats_are_checked_too(wire: Wire) -> None:
    wire.line.send(3, perf_counter_ns())
    data = answers(0, 1) + PING + answers(1, 2)
    for at in range(len(data)):
        wire.line.received(data[at : at + 1], perf_counter_ns())
    assert wire.line.pings == 1
    assert wire.tally.outstanding == 3


def test_messages_begin_again_after_the_last(wire: Wire) -> None:
    wire.tally.refill = False
    for first in range(0, COUNT, 100):
        wire.line.send(100, 0)
        assert wire.sent() == ECHOES.requests(first, 100)
        wire.line.received(answers(first, 100), 1)
    wire.line.send(3, 0)
    assert wire.sent() == ECHOES.requests(0, 3)
    wire.line.received(answers(0, 3), 1)
    assert wire.tally.outstanding == 0


def test_messages_in_flight_may_span_the_last_and_the_first(wire: Wire) -> None:
    wire.tally.refill = False
    for count in (COUNT - 2, 5):
        wire.line.send(count, 0)
        wire.sent()
    wire.line.received(answers(0, COUNT - 2), 1)
    wire.line.received(answers(COUNT - 2, 5), 1)
    assert wire.tally.outstanding == 0


@pytest.mark.parametrize(
    "wrong",
    [
        answers(1, 1),
        answers(0, 1).replace(b"PLAY", b"PLAX"),
        answers(0, 1) + answers(0, 1),
        answers(0, 1) + answers(2, 1),
        answers(0, 3),
        unmasked(b'42["other"]'),
    ],
    ids=["another id", "other content", "twice", "one is missing", "too many", "an event"],
)
def test_a_wrong_answer_is_noticed(wire: Wire, wrong: bytes) -> None:
    wire.tally.refill = False
    wire.line.send(2, 0)
    with pytest.raises(LineError):
        wire.line.received(wrong, 1)


def test_a_connection_that_ends_is_noticed(wire: Wire) -> None:
    with pytest.raises(LineError):
        wire.line.received(b"", 1)


def series(server: str, *echoes: int, generator: float = 0.5) -> Series:
    outcomes = [EchoOutcome(count, 2.0, {}, 0, generator) for count in echoes]
    return Series(server, Load(50, 1), [Echoed(one, Usage(1.0, 0.0, 1.6)) for one in outcomes])


def test_figures_follow_from_counts() -> None:
    (one,) = series(PITBOSS, 100_000).repeats
    assert (one.per_second, one.server_us, round(one.others, 3)) == (50_000, 20, 0.1)


def test_servers_are_compared_round_by_round() -> None:
    every = [series(PITBOSS, 60, 80, 10), series(NODE, 20, 80, 5), series(BARE_AIOHTTP, 60, 80, 10)]
    assert ratios(every) == {Load(50, 1): {PITBOSS: {NODE: (1, 2, 3), BARE_AIOHTTP: (1, 1, 1)}}}


def test_what_is_missing_and_a_generator_that_was_too_busy_are_named() -> None:
    every = [series(name, 1) for name in PEERS]
    assert len(notes_of(every)) == 1
    assert NODE in notes_of([one for one in every if one.server != NODE])[1]
    assert NODE in notes_of([*every, series(NODE, 1, generator=0.95)])[1]
