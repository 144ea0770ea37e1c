"""What the benchmarks of broadcasts and idle connections count, and what they refuse to count."""

import os
from dataclasses import replace
from itertools import islice
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

import msgspec
import pytest

from benchmarks.crowd import addresses
from benchmarks.deliveries import EVENT, Deliveries, Publication, Tick, Watcher
from benchmarks.fanout import Fanout, check
from benchmarks.frames import unmasked
from benchmarks.line import LineError
from benchmarks.measurement import Measurement, MeasurementError
from benchmarks.plan import Outcome
from benchmarks.spread import spread
from benchmarks.usage import Usage, resident


def broadcast(number: int, published_ns: int = 0) -> bytes:
    event = [EVENT, Tick(number, published_ns, "text")]
    return unmasked(b"42" + msgspec.json.encode(event))


def watchers(count: int) -> tuple[Deliveries, list[Watcher]]:
    deliveries = Deliveries()
    made = [Watcher({}, deliveries) for _ in range(count)]
    hello = b"HTTP/1.1 101 \r\n\r\n" + unmasked(b'40{"sid":"a"}')
    for one in made:
        one.received(hello, 0)
    return deliveries, made


def test_times_are_from_publishing_to_each_recipient() -> None:
    deliveries, crowd = watchers(100)
    for late, one in enumerate(crowd, start=1):
        one.received(broadcast(5, 1_000), 1_000 + late)
    (found,) = deliveries.publications()
    assert found == Publication(5, 1_000, 100, first_ns=1, p50_ns=50, p99_ns=99, last_ns=100)


def test_broadcasts_are_kept_apart_though_they_mix() -> None:
    deliveries, (first, second) = watchers(2)
    first.received(broadcast(1, 0) + broadcast(2, 10), 20)
    second.received(broadcast(1, 0), 30)
    second.received(broadcast(2, 10), 40)
    assert [(one.number, one.first_ns, one.last_ns) for one in deliveries.publications()] == [
        (1, 20, 30),
        (2, 10, 30),
    ]


@pytest.mark.parametrize("then", [1, 3], ids=["twice", "one is missing"])
def test_a_watcher_notices_what_is_lost_or_comes_twice(then: int) -> None:
    _, (one,) = watchers(1)
    one.received(broadcast(1), 1)
    with pytest.raises(LineError):
        one.received(broadcast(then), 2)


def test_another_event_is_an_error() -> None:
    _, (one,) = watchers(1)
    with pytest.raises(LineError):
        one.received(unmasked(b'42["wallet:updated",{}]'), 1)


def test_a_refusal_is_an_error() -> None:
    with pytest.raises(LineError, match="503"):
        Watcher({}, Deliveries()).received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 0)
    with pytest.raises(LineError, match="join"):
        Watcher({}, Deliveries()).received(
            b"HTTP/1.1 101 \r\n\r\n" + unmasked(b'44{"message":"no"}'), 0
        )


def test_a_broadcast_that_did_not_reach_everybody_fails_the_run() -> None:
    whole = Publication(1, 0, 10, 1, 1, 1, 1)
    check([whole], 10)
    with pytest.raises(MeasurementError):
        check([whole, Publication(2, 0, 9, 1, 1, 1, 1)], 10)
    with pytest.raises(MeasurementError):
        check([], 10)


def test_a_delivery_costs_what_the_same_bets_alone_do_not() -> None:
    outcome = Outcome(1_000, 1_000, 1_000, {}, {}, 0, {}, 0, 0.1)
    quiet = Measurement(10.0, outcome, Usage(0.10, 0.1, 0.5), 1, 1)
    busy = replace(quiet, usage=Usage(0.22, 0.1, 0.7))
    told = [Publication(n, 0, 10_000, 1, 2, 3, last) for n, last in ((1, 4), (2, 8_000_000))]
    run = Fanout(10_000, 1.0, quiet, busy, told, watchers_cpu_s=0.1)
    assert run.server_us == pytest.approx(12)
    assert run.watchers_us == pytest.approx(5)
    assert (run.worst_ms, run.taken_ms("p50_ns")) == (8, 2e-6)


def test_everybody_has_an_address_of_their_own() -> None:
    found = list(islice(addresses(), 70_000))
    assert (found[0], found[-1]) == ("127.0.1.0", "127.1.18.111")
    assert len(set(found)) == 70_000


def test_a_spread_is_the_least_the_middle_and_the_greatest() -> None:
    assert spread([3, 1, 10]) == (1, 3, 10)
    assert spread([3, 1, 10]).text(1) == "3.0 (1.0 to 10.0)"
    assert spread([2, 2]).text(0) == "2"


def test_memory_that_a_process_takes_is_seen() -> None:
    before = resident(os.getpid())
    # Straight from the system: what other tests gave back would be taken first.
    with mmap(-1, 30_000_000, flags=MAP_PRIVATE | MAP_ANONYMOUS) as taken:
        taken.write(bytes(30_000_000))
        after = resident(os.getpid())
    assert after.heap_bytes - before.heap_bytes > 20_000_000
    assert after.rss_bytes - before.rss_bytes > 20_000_000
    assert after.rss_bytes > after.heap_bytes
