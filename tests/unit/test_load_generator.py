"""The parts of the benchmarks' load generator that decide what its figures mean."""

import json
from itertools import pairwise
from time import perf_counter_ns
from uuid import UUID

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.client import Client, ClientError
from benchmarks.messages import Messages
from benchmarks.schedule import poisson_ns
from benchmarks.traffic import Traffic

BET = {"stake": 10, "currency": "PLAY", "target": 5_000, "direction": "over"}
SETTLED = '{"success":true,"data":{"roll":1}}'
REFUSED = '{"success":false,"error":{"code":"overloaded"}}'


def ack(number: int, body: str) -> bytes:
    return f"43{number}[{body}]".encode()


def batch_ack(number: int, *results: str) -> bytes:
    return ack(number, f'{{"success":true,"data":{{"results":[{",".join(results)}]}}}}')


def sent(bets_per_message: int = 1) -> Traffic:
    """Traffic with one message on its way, in a window that is open for long."""
    traffic = Traffic(bets_per_message)
    traffic.open_window(0, 2**62)
    assert traffic.sent(perf_counter_ns()) == 0
    return traffic


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
    single, batch = Messages(BET, 1), Messages(BET, 100)
    bets = [json.loads(single.make(number)[3:])[1] for number in range(10)]
    name, argument = json.loads(batch.make(7)[3:])
    assert name == "bets:place"
    bets += argument["bets"]
    ids = {UUID(bet.pop("request_id")) for bet in bets}
    assert len(ids) == 110
    assert {one.version for one in ids} == {4}
    assert all(bet == BET for bet in bets)


def test_a_settled_bet_counts_once_and_its_time_is_recorded() -> None:
    traffic = sent()
    traffic.answered(ack(0, SETTLED))
    assert (traffic.outstanding, traffic.acknowledged, traffic.bets_in_window) == (0, 1, 1)
    assert (traffic.latency.count, traffic.lateness.count) == (1, 1)
    with pytest.raises(ValueError, match="twice"):
        traffic.answered(ack(0, SETTLED))


def test_an_answer_to_nothing_is_an_error() -> None:
    with pytest.raises(IndexError):
        sent().answered(ack(1, SETTLED))


def test_a_refused_bet_does_not_count() -> None:
    traffic = sent()
    traffic.answered(ack(0, REFUSED))
    assert (traffic.acknowledged, traffic.refused) == (0, {"overloaded": 1})


def test_each_bet_of_a_batch_counts_by_itself() -> None:
    traffic = sent(3)
    traffic.answered(batch_ack(0, SETTLED, REFUSED, SETTLED))
    assert (traffic.placed, traffic.acknowledged) == (3, 2)
    assert traffic.refused == {"overloaded": 1}


def test_a_batch_whose_bets_are_all_settled_counts_in_full() -> None:
    traffic = sent(3)
    traffic.answered(batch_ack(0, SETTLED, SETTLED, SETTLED))
    assert (traffic.acknowledged, traffic.refused) == (3, {})


def test_a_refused_batch_is_as_many_refused_bets() -> None:
    traffic = sent(3)
    traffic.answered(ack(0, REFUSED))
    assert (traffic.acknowledged, traffic.refused) == (0, {"overloaded": 3})


def test_what_was_due_outside_the_window_is_not_measured() -> None:
    traffic = Traffic(1)
    now_ns = perf_counter_ns()
    traffic.open_window(now_ns, now_ns + 60_000_000_000)
    early = traffic.sent(now_ns - 1)
    late = traffic.sent(now_ns + 60_000_000_000)
    due = traffic.sent(now_ns)
    for number in (early, late, due):
        traffic.answered(ack(number, SETTLED))
    assert (traffic.latency.count, traffic.lateness.count) == (1, 1)
    assert (traffic.acknowledged, traffic.bets_in_window) == (3, 3)


async def test_a_player_who_may_not_join_is_told_so_and_does_not_wait() -> None:
    async def refuse(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str('0{"sid":"a"}')
        await websocket.send_str('44{"message":"no such player"}')
        await websocket.receive()
        return websocket

    application = web.Application()
    application.router.add_get("/socket.io/", refuse)
    late: list[Exception] = []
    async with TestServer(application) as server:
        client = Client("token", Messages(BET, 1), Traffic(1), late.append)
        with pytest.raises(ClientError, match="no such player"):
            await client.connect(str(server.make_url("/")).rstrip("/"))
        client.close()
