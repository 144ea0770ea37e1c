"""What the benchmark of a crash table counts, when its crowd acts, and what it refuses to count."""

import socket
from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from actors.crash.odds import reached_at
from benchmarks import rounds as rounds_module
from benchmarks.crash import Options, Run, check, markdown, notes_of
from benchmarks.frames import unmasked
from benchmarks.line import LineError
from benchmarks.measurement import MeasurementError
from benchmarks.rounds import Rounds, Step
from benchmarks.seat import Answers, Seat
from benchmarks.seats import BET, CASH_OUT, Table, TableOutcome, TablePlan
from benchmarks.usage import Usage

MS = 1_000_000
HELLO = b"HTTP/1.1 101 \r\n\r\n" + unmasked(b'40{"sid":"a"}')
# The wall clock when the crowd's own counter is at zero, in milliseconds.
EPOCH_MS = 1_700_000_000_000


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that begins with the wall clock at a round figure."""
    monkeypatch.setattr(rounds_module, "time_ns", lambda: EPOCH_MS * MS)
    monkeypatch.setattr(rounds_module, "perf_counter_ns", lambda: 0)


def event(name: str, **fields: Any) -> bytes:
    return unmasked(b"42" + msgspec.json.encode([name, fields]))


def opened(number: int, at_ms: int = 0) -> bytes:
    at_ms += EPOCH_MS
    deadline_ms = at_ms + 5_000
    return event("round:opened", round_id=f"1-{number}", at_ms=at_ms, deadline_ms=deadline_ms)


def started(number: int, at_ms: int = 0) -> bytes:
    return event("round:started", round_id=f"1-{number}", at_ms=EPOCH_MS + at_ms)


def crashed(number: int, at_ms: int = 0, bust: int = 100) -> bytes:
    return event(
        "round:crashed", round_id=f"1-{number}", at_ms=EPOCH_MS + at_ms, bust=bust, hash=""
    )


class Chair:
    """A seat whose server is the test: `sent` is what it has asked for."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        seat.socket, self._end = socket.socketpair()
        seat.received(HELLO, 0)
        self._end.setblocking(False)

    def hears(self, *frames: bytes, now_ns: int = 0) -> None:
        self.seat.received(b"".join(frames), now_ns)

    def sent(self) -> list[Any]:
        """The commands since the last time; their frames are short."""
        try:
            data = self._end.recv(1 << 20)
        except BlockingIOError:
            return []
        found = []
        while data:
            length, at = data[1] & 127, 2
            if length == 126:
                length, at = int.from_bytes(data[2:4]), 4
            mask, body = data[at : at + 4], data[at + 4 : at + 4 + length]
            plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
            found.append(msgspec.json.decode(plain[plain.index(b"[") :]))
            data = data[at + 4 + length :]
        return found

    def close(self) -> None:
        self.seat.socket.close()
        self._end.close()


@pytest.fixture
def chairs() -> Iterator[list[Chair]]:
    """Three seats at one table, whose steps nobody acts on."""
    rounds, answers = Rounds(), Answers()
    made = [Chair(Seat("t", rounds, answers, lambda _said: None)) for _ in range(3)]
    yield made
    for one in made:
        one.close()


def rounds_of(chairs: list[Chair]) -> Rounds:
    return chairs[0].seat._rounds


def answers_of(chairs: list[Chair]) -> Answers:
    return chairs[0].seat._answers


def test_times_are_from_where_the_curve_reached_the_bust(chairs: list[Chair]) -> None:
    ran_ms = reached_at(150)
    bust_ms = 6_000 + ran_ms
    for late, chair in enumerate(chairs, start=1):
        chair.hears(opened(7), now_ns=1)
        chair.hears(started(7, 6_000), now_ns=6_000 * MS + 10 * late)
        chair.hears(crashed(7, bust_ms + 2, bust=150), now_ns=bust_ms * MS + 1_000 * late)
    (seen,) = rounds_of(chairs).seen(3 * 7, 3 * 8)

    assert (seen.round_id, seen.bust, seen.ran_ms) == ("1-7", 150, ran_ms)
    assert (seen.recipients, seen.decided_ns) == (3, 2 * MS)
    assert (seen.first_ns, seen.p50_ns, seen.p99_ns, seen.last_ns) == (1_000, 2_000, 3_000, 3_000)
    assert seen.started_last_ns == 30


def test_events_of_the_room_are_counted_and_no_others(chairs: list[Chair]) -> None:
    tick = event("round:ticked", round_id="1-7", at_ms=1, elapsed_ms=1, multiplier=101)
    listed = event("bet:joined", items=[], more=0), event("player:cashed_out", items=[], more=0)
    for chair in chairs:
        chair.hears(opened(7), tick, *listed, event("wallet:updated", available=1))

    assert rounds_of(chairs).events == 3 * 4
    assert chairs[0].seat.place == 3 * 7 + Step.OPENED


@pytest.mark.parametrize(
    "then", [opened(7), crashed(7), opened(8)], ids=["twice", "no start", "no end"]
)
def test_a_seat_notices_what_is_lost_or_comes_twice(chairs: list[Chair], then: bytes) -> None:
    chairs[0].hears(opened(7))
    with pytest.raises(LineError, match="came after"):
        chairs[0].hears(then)


@pytest.mark.parametrize(
    "payload",
    [
        event("round:voided", round_id="1-7", at_ms=1, bust=100, hash=""),
        event("round:started", round="1-7"),
        unmasked(b"44"),
    ],
    ids=["a voided round", "no round's id", "another packet"],
)
def test_what_must_not_happen_to_a_table_is_an_error(chairs: list[Chair], payload: bytes) -> None:
    with pytest.raises(LineError, match="the server sent"):
        chairs[0].hears(payload)


def answer(ack_id: int, code: str | None = None) -> bytes:
    body = (
        {"success": True, "data": {}}
        if code is None
        else {"success": False, "error": {"code": code, "number": 1}}
    )
    return unmasked(b"43%d" % ack_id + msgspec.json.encode([body]))


def test_answers_are_timed_from_when_they_were_due(chairs: list[Chair]) -> None:
    answers, (first, second, _) = answers_of(chairs), chairs
    first.seat.ask(BET, {}, 1, 2)
    answers.since_ns = 10
    first.seat.ask(CASH_OUT, {}, 10, 15)
    second.seat.ask(CASH_OUT, {}, 20, 21)
    first.hears(answer(1), answer(2), now_ns=110)
    second.hears(answer(3, "round_over"), now_ns=110)

    assert {what: (one.count, one.max) for what, one in answers.taken.items()} == {
        CASH_OUT: (1, 100)
    }, "what was due before the window and what was refused is not timed"
    assert (answers.lateness.count, answers.lateness.max) == (2, 5)
    assert answers.refused == {f"{CASH_OUT} round_over": 1}
    assert answers.outstanding == 0


def test_an_answer_that_nothing_waits_for_is_an_error(chairs: list[Chair]) -> None:
    first, second, _ = chairs
    first.seat.ask(BET, {}, 1, 1)
    with pytest.raises(LineError, match="another connection"):
        second.hears(answer(1))
    with pytest.raises(LineError, match="nothing waits"):
        first.hears(answer(1))
    first.seat.ask(BET, {}, 1, 1)
    with pytest.raises(LineError, match="nothing waits"):
        first.hears(unmasked(b'432[{"no":1}]'))


SEATS, BETTORS, ROUNDS = 6, 4, 2


class Room:
    """A table's crowd whose server is the test."""

    def __init__(self) -> None:
        plan = TablePlan(
            url="http://127.0.0.1:1",
            table=1,
            tokens=["t"] * SEATS,
            bettors=BETTORS,
            bet={"stake": 10, "currency": "PLAY"},
            cash_outs_per_second=1_000_000.0,
            rounds=ROUNDS,
            seed=1,
        )
        self.table = Table(plan)
        self.table._watched = True
        self.chairs = [Chair(seat) for seat in self.table._seats]

    def hear(self, frame: bytes) -> None:
        for chair in self.chairs:
            chair.hears(frame)

    def due(self) -> list[str]:
        return [command for _, _, command, _ in self.table._due]

    def sends(self) -> list[Any]:
        """What the seats send once all of it is due."""
        due = self.table._due
        self.table._due = deque((0, seat, command, fields) for _, seat, command, fields in due)
        self.table._send_what_is_due()
        return [one for chair in self.chairs for one in chair.sent()]

    def close(self) -> None:
        self.table._crowd.close()
        self.table._alarm.close()
        for chair in self.chairs:
            chair.close()


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.close()


def test_bettors_bet_while_they_may_and_cash_out_until_the_bust(room: Room) -> None:
    room.hear(opened(7))
    moments = [due_ns for due_ns, *_ in room.table._due]
    assert moments == sorted(moments)
    assert moments[-1] - moments[0] < 5_000 * MS
    placed = room.sends()
    assert [command for command, _ in placed] == [BET] * BETTORS
    assert {fields["round_id"] for _, fields in placed} == {"1-7"}
    assert len({fields["request_id"] for _, fields in placed}) == BETTORS

    room.hear(started(7))
    assert room.due() == [CASH_OUT] * BETTORS
    room.hear(crashed(7))
    assert room.due() == []


def test_a_round_whose_betting_was_missed_is_only_watched(room: Room) -> None:
    room.hear(started(7))
    assert room.due() == []
    room.hear(crashed(7))
    room.hear(opened(8))
    assert room.due() == [BET] * BETTORS


def test_bets_that_were_not_sent_in_time_fail_the_run(room: Room) -> None:
    room.hear(opened(7))
    with pytest.raises(LineError, match="4 bets were not sent"):
        room.hear(started(7))


def test_the_window_is_of_whole_rounds_after_one_to_warm_up(
    room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    marks = []
    for number in range(7, 11):
        room.hear(opened(number))
        marks.append(capsys.readouterr().out.split())
        room.sends()
        if number < 10:
            room.hear(started(number, 1))
            room.hear(crashed(number, 2))
    assert marks == [[], ["begin"], [], ["end"]]
    assert room.table._over

    window = room.table._begun
    assert window is not None
    outcome = room.table._outcome(window)
    assert [one.round_id for one in outcome.rounds] == ["1-8", "1-9"]
    # The first receipt of an opening is before the window, the first of the last one in it.
    assert outcome.events == 2 * 3 * SEATS


OPTIONS = Options(sockets=6, bets=4, cash_outs_per_second=1.0, most=300, rounds=2)


def outcome(**changes: Any) -> TableOutcome:
    """Two rounds of six players, four of which bet in both."""
    seen = rounds_module.RoundSeen("1-8", 150, 6_757, 2 * MS, 6, MS, MS, 3 * MS, 4 * MS, 5 * MS)
    made = TableOutcome(
        rounds=[seen, seen],
        window_s=10.0,
        events=1_000,
        taken={BET: {100: 8}, CASH_OUT: {200: 3}},
        taken_max_ns={BET: 100, CASH_OUT: 200},
        refused={f"{CASH_OUT} round_over": 1, f"{CASH_OUT} already_cashed_out": 2},
        lateness={},
        lateness_max_ns=0,
        cores=0.2,
    )
    return msgspec.structs.replace(made, **changes)


def test_too_late_is_no_failure_and_all_else_is() -> None:
    check(outcome(), OPTIONS)
    whole = outcome().rounds[0]
    for wrong in (
        {"rounds": [whole]},
        {"rounds": [whole, msgspec.structs.replace(whole, recipients=5)]},
        {"taken": {BET: {100: 7}}},
        {"refused": {f"{CASH_OUT} overloaded": 1}},
        {"refused": {f"{BET} round_over": 1}},
    ):
        with pytest.raises(MeasurementError):
            check(outcome(**wrong), OPTIONS)


def test_figures_and_tables_are_of_the_same_run() -> None:
    run = Run(OPTIONS, outcome(), Usage(server=0.5, postgres=0.1, machine=1.0))
    figures = run.figures()
    assert figures["last_ms"] == (4.0, 4.0, 4.0)
    assert figures["server_us_per_event"] == 5_000.0
    assert figures["cash_outs"] == 3
    assert figures["cash_outs_too_late"] == 3
    assert figures["other_cores"] == pytest.approx(0.2)
    report = markdown({"cpu": "x"}, run, notes_of(run))
    assert "| 6 | 2 | 2.0 | 1.0 | 1.0 | 3.0 | 4.0 | 5.0 |" in report
    assert "| 1,000 | 5,000.0 | 1,000.0 | 2,000.0 | 0.50 | 0.20 |" in report
    assert "these: 1.50, 1.50." in report


def test_the_table_is_one_that_settings_take() -> None:
    assert OPTIONS.table.problems() == []
    assert OPTIONS.table.most_round_profit_minor > OPTIONS.bets * 10 * OPTIONS.most // 100
