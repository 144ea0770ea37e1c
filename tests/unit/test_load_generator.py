"""The parts of the benchmarks' load generator that decide what its figures mean."""

import json
import math
import socket
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from benchmarks.client import Client
from benchmarks.frames import unmasked
from benchmarks.line import LineError
from benchmarks.measurement import Measurement
from benchmarks.messages import END_ID, FIRST_ID, Messages
from benchmarks.plan import Outcome
from benchmarks.report import markdown
from benchmarks.schedule import poisson_ns
from benchmarks.series import Series
from benchmarks.spread import spread
from benchmarks.traffic import Traffic, TrafficError
from benchmarks.usage import Meter, Usage

BET = {"stake": 10, "currency": "PLAY", "target": 5_000, "direction": "over"}
SETTLED = '{"success":true,"data":{"roll":1}}'
REFUSED = '{"success":false,"error":{"code":"overloaded"}}'


def ack(number: int, body: str) -> bytes:
    return f"43{FIRST_ID + number}[{body}]".encode()


def batch_ack(number: int, *results: str) -> bytes:
    return ack(number, f'{{"success":true,"data":{{"results":[{",".join(results)}]}}}}')


def sent(bets_per_message: int = 1) -> Traffic:
    """Traffic with one message on its way, in a window that is open for long."""
    traffic = Traffic(bets_per_message)
    traffic.open_window(0, 2**62)
    assert traffic.sent(1_000, 1, 1_500) == FIRST_ID
    return traffic


def payloads(frames: bytes) -> list[bytes]:
    """What a client's frames say."""
    found = []
    while frames:
        size = 2 if frames[1] & 0x7F == 126 else 0
        length = int.from_bytes(frames[2:4]) if size else frames[1] & 0x7F
        mask, rest = frames[2 + size : 6 + size], frames[6 + size :]
        found.append(bytes(byte ^ mask[at % 4] for at, byte in enumerate(rest[:length])))
        frames = rest[length:]
    return found


def test_arrivals_come_at_their_rate_in_order_and_the_same_again() -> None:
    arrivals = poisson_ns(10_000, 2, seed=7)
    assert 19_000 < len(arrivals) < 21_000
    assert list(arrivals) == sorted(arrivals)
    assert arrivals[-1] < 2_000_000_000
    assert arrivals == poisson_ns(10_000, 2, seed=7)
    assert arrivals != poisson_ns(10_000, 2, seed=8)


def test_gaps_between_arrivals_vary_as_those_of_a_poisson_process_do() -> None:
    arrivals = poisson_ns(1_000, 20, seed=1)
    gaps = [after - before for before, after in pairwise(arrivals)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert 0.95 < deviation / mean < 1.05


def test_every_bet_has_a_request_id_of_its_own() -> None:
    single = payloads(Messages(BET, 1).make(FIRST_ID, 40))
    (batch,) = payloads(Messages(BET, 100).make(FIRST_ID + 7, 1))
    bets = []
    for number, message in enumerate(single):
        head, body = message[:10], message[10:]
        assert head == b"42%d" % (FIRST_ID + number)
        name, bet = json.loads(body)
        assert name == "dice:roll"
        bets.append(bet)
    assert batch.startswith(b"42%d[" % (FIRST_ID + 7))
    name, argument = json.loads(batch[10:])
    assert name == "bets:place"
    assert {bet.pop("game") for bet in argument["bets"]} == {"dice"}
    bets += argument["bets"]
    ids = {UUID(bet.pop("request_id")) for bet in bets}
    assert len(ids) == 140
    assert {(one.version, str(one)[19]) for one in ids} == {(4, "8")}
    assert all(bet == BET for bet in bets)


def test_each_write_has_a_mask_of_its_own() -> None:
    messages = Messages(BET, 1)
    masks = {messages.make(FIRST_ID, 1)[4:8] for _ in range(20)}
    assert len(masks) > 15


@pytest.mark.parametrize("stake", [1, 10, 100, 1_000])
def test_frames_of_any_length_are_whole(stake: int) -> None:
    bet = {**BET, "stake": stake, "currency": "100%"}
    found = payloads(Messages(bet, 1).make(FIRST_ID, 17))
    assert [json.loads(one[10:])[1]["stake"] for one in found] == [stake] * 17
    assert json.loads(found[0][10:])[1]["currency"] == "100%"


def test_a_settled_bet_counts_once_and_its_time_is_recorded() -> None:
    traffic = sent()
    traffic.answered([ack(0, SETTLED)], 4_000)
    assert (traffic.outstanding, traffic.acknowledged, traffic.bets_in_window) == (0, 1, 1)
    assert (traffic.latency.count, traffic.latency.max) == (1, 3_000)
    assert (traffic.lateness.count, traffic.lateness.max) == (1, 500)
    with pytest.raises(TrafficError, match="nothing waits"):
        traffic.answered([ack(0, SETTLED)], 5_000)


def test_answers_that_come_together_have_times_of_their_own() -> None:
    traffic = Traffic(1)
    traffic.open_window(0, 2**62)
    for due_ns, count in ((100, 2), (200, 1), (300, 2)):
        traffic.sent(due_ns, count, due_ns)
    traffic.answered([ack(number, SETTLED) for number in (1, 0, 4, 2, 3)], 350)
    assert traffic.latency.sparse() == {250: 2, 50: 2, 150: 1}
    assert (traffic.placed, traffic.acknowledged, traffic.outstanding) == (5, 5, 0)


@pytest.mark.parametrize(
    "answer", [ack(1, SETTLED), b"43[]", b"43x[]", b"43", ack(0, "1"), ack(0, "{}")]
)
def test_an_answer_to_nothing_or_of_nothing_is_an_error(answer: bytes) -> None:
    with pytest.raises(TrafficError):
        sent().answered([answer], 2_000)


@pytest.mark.parametrize(
    "body",
    [
        '{"success":1}',
        '{"success":trueGARBAGE',
        '{"success":true,',
        '{"success":true},{"success":true}',
        '{"success":false,"error":{"code":null}}',
        '{"success":false,"error":{"code":[]}}',
        '{"success":false,"error":{"code":"\\ud800"}}',
        '{"success":false,"error":{"code":"two words"}}',
        "[" * 5_000,
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(body: str) -> None:
    with pytest.raises(TrafficError, match="the server answered"):
        sent().answered([ack(0, body)], 2_000)


def test_an_answer_that_is_no_text_is_an_error() -> None:
    answer = ack(0, REFUSED).replace(b"overloaded", b"\xff\xfe")
    with pytest.raises(TrafficError, match="the server answered"):
        sent().answered([answer], 2_000)


def test_an_answer_is_for_the_connection_that_asked() -> None:
    traffic, sender, other = Traffic(1), object(), object()
    traffic.sent(0, 2, 0, sender)
    traffic.answered([ack(0, SETTLED)], 1, sender)
    with pytest.raises(TrafficError, match="another connection waits"):
        traffic.answered([ack(1, SETTLED)], 1, other)


@pytest.mark.parametrize("bets_per_message", [1, 3])
def test_later_answers_are_counted_by_their_beginnings(bets_per_message: int) -> None:
    traffic = Traffic(bets_per_message)
    traffic.sent(0, 101, 0)
    whole = SETTLED if bets_per_message == 1 else batch_ack(0, *[SETTLED] * 3)[11:-1].decode()
    traffic.answered([ack(number, whole) for number in range(100)], 1)
    with pytest.raises(TrafficError, match="the server answered"):
        traffic.answered([ack(100, whole.replace("true,", "trueGARBAGE,"))], 1)
    assert traffic.acknowledged == 100 * bets_per_message


def test_no_more_messages_are_sent_than_have_numbers_of_one_length() -> None:
    with pytest.raises(TrafficError, match="at most"):
        Traffic(1).sent(0, END_ID - FIRST_ID + 1, 0)


def test_a_refused_bet_does_not_count() -> None:
    traffic = sent()
    traffic.answered([ack(0, REFUSED)], 2_000)
    assert (traffic.acknowledged, traffic.refused) == (0, {"overloaded": 1})


def test_each_bet_of_a_batch_counts_by_itself() -> None:
    traffic = sent(3)
    traffic.answered([batch_ack(0, SETTLED, REFUSED, SETTLED)], 2_000)
    assert (traffic.placed, traffic.acknowledged) == (3, 2)
    assert traffic.refused == {"overloaded": 1}


def test_a_batch_whose_bets_are_all_settled_counts_in_full() -> None:
    traffic = sent(3)
    traffic.answered([batch_ack(0, SETTLED, SETTLED, SETTLED)], 2_000)
    assert (traffic.acknowledged, traffic.refused) == (3, {})


def test_a_refused_batch_is_as_many_refused_bets() -> None:
    traffic = sent(3)
    traffic.answered([ack(0, REFUSED)], 2_000)
    assert (traffic.acknowledged, traffic.refused) == (0, {"overloaded": 3})


def test_a_batch_with_too_few_results_is_an_error() -> None:
    with pytest.raises(TrafficError, match="3 bets had 2 results"):
        sent(3).answered([batch_ack(0, SETTLED, SETTLED)], 2_000)


def test_what_was_due_outside_the_window_is_not_measured() -> None:
    traffic = Traffic(1)
    traffic.open_window(1_000, 2_000)
    for due_ns in (999, 2_000, 1_000):
        traffic.sent(due_ns, 1, due_ns)
    traffic.answered([ack(number, SETTLED) for number in range(3)], 2_000)
    assert (traffic.latency.count, traffic.lateness.count) == (1, 1)
    assert (traffic.acknowledged, traffic.bets_in_window) == (3, 0)


def unknown(figures: dict[str, Any]) -> set[str]:
    return {name for name, figure in figures.items() if figure is None}


def test_what_is_not_known_is_null_in_json_and_nothing_in_a_table() -> None:
    usage = Meter(None, None).known(Usage(0.0, 0.0, 1.5))
    settled = Outcome(10, 10, 10, {}, {5: 10}, 5, {5: 10}, 5, 0.1)
    refused = Outcome(0, 10, 0, {"overloaded": 10}, {}, 0, {5: 10}, 5, 0.1)
    processes = {"server_us_per_bet", "postgres_us_per_bet", "rows_per_commit"}
    bets = {"generator_us_per_bet", "p50_ms", "p99_ms", "max_ms"}
    for outcome, few, many in (
        (settled, processes, processes),
        (refused, {*processes, *bets, "p999_ms"}, {*processes, *bets, "p99.9_ms"}),
    ):
        series = Series("single", 10, [Measurement(1.0, outcome, usage, 0, 0)])
        figures = series.figures()
        assert unknown(figures) == few
        assert unknown(figures["runs"][0]) == {*many, "other_cores"}
        assert unknown(figures["cores"]) == {"server", "postgres", "others"}
        closed = Series("single", None, series.repeats)
        assert "nan" not in markdown({}, [series, closed], [])


def test_of_several_repeats_those_count_whose_figure_is_known() -> None:
    assert spread([math.nan, 3, 1]) == (1, 2, 3)
    assert spread([math.nan, math.nan]).text(1) == ""


def connected() -> tuple[Client, socket.socket, Traffic]:
    """A client that has joined, the server's end of its connection, and what it has counted."""
    traffic = Traffic(1)
    client = Client("token", Messages(BET, 1), traffic, set())
    client.socket, server = socket.socketpair()
    client.socket.setblocking(False)
    client.received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 0)
    client.received(unmasked(b'0{"sid":"a"}') + unmasked(b'40{"sid":"b"}'), 0)
    assert client.joined
    assert payloads(server.recv(1_000)) == [b'40{"token":"token"}']
    return client, server, traffic


def test_as_many_messages_follow_as_were_answered_and_events_and_heartbeats_are_read() -> None:
    client, server, traffic = connected()
    with client.socket, server:
        client.refill = True
        client.place(3)
        assert len(payloads(server.recv(10_000))) == 3
        answers = [unmasked(ack(number, SETTLED)) for number in (0, 2)]
        event = unmasked(b'42["wallet:updated",{}]')
        client.received(answers[0] + unmasked(b"2") + event + answers[1], 2**62)
        assert (traffic.acknowledged, traffic.outstanding, client.pings) == (2, 3, 1)
        assert len(payloads(server.recv(10_000))) == 3  # a pong, and two bets


def test_what_the_network_does_not_take_leaves_later_and_whole() -> None:
    client, server, _ = connected()
    with client.socket, server:
        client.place(5_000)
        assert client.unsent
        client.place(1)
        data = b""
        server.setblocking(False)
        while client.unsent:
            data += server.recv(1_000_000)
            client.flush()
        data += server.recv(10_000_000)
        found = payloads(data)
        assert [int(one[2:10]) - FIRST_ID for one in found] == list(range(5_001))


def test_a_player_who_may_not_join_is_told_so() -> None:
    client = Client("token", Messages(BET, 1), Traffic(1), set())
    client.socket, server = socket.socketpair()
    with client.socket, server:
        client.received(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 0)
        with pytest.raises(LineError, match="no such player"):
            client.received(unmasked(b'44{"message":"no such player"}'), 0)
