"""When a commit goes wrong: refused, lost, or refused again."""

import pytest

from actors.decision import Decision, Message
from actors.runtime.post import Post
from protocol.errors import MOVING, OVERLOADED, ROUND_OVER, ErrorKind, Failure
from tests.support.bench import Answer, Bench, BenchOutbox, quiet
from tests.support.counter import Add, Added, Read, Refuse, number


def committed_elsewhere(bench: Bench, key: int, *amounts: int) -> None:
    """Rows that the live actor knows nothing of, as an earlier owner may leave."""
    rows = bench.store.facts.setdefault(key, [])
    for amount in amounts:
        rows.append(Added(key, len(rows) + 1, amount, number(900 + len(rows)), None))


async def test_a_refused_actor_is_read_again_and_decides_once_more() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    committed_elsewhere(bench, 2, 1_000)
    answers = [bench.send(2, command) for command in (Add(number(1)), Read(), Add(number(2)))]
    innocent = bench.send(4, Add(number(1)))
    bench.refuse(2)
    assert [answer.given for answer in answers] == [[], [], []]
    await quiet()
    bench.commit()
    await quiet()
    bench.commit()
    assert [answer.given for answer in answers] == [[1_001], [1_001], [1_002]]
    assert innocent.given == [1]
    assert [fact.seq for fact in bench.store.facts[2]] == [1, 2, 3]


async def test_what_waits_in_the_inbox_of_a_refused_actor_follows_in_order() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    committed_elsewhere(bench, 2, 1_000)
    first = bench.send(2, Add(number(1)))
    twin = bench.send(2, Add(number(1)))  # waits for the commit of the first
    behind = bench.send(2, Read())
    bench.refuse(2)
    await quiet()
    bench.commit()
    await quiet()
    bench.commit()
    assert (first.given, twin.given, behind.given) == ([1_001], ["replay of 2"], [1_001])


async def test_refused_twice_is_evicted_and_can_be_tried_again() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    answer = bench.send(2, Add(number(1)))
    for _ in range(2):
        bench.refuse(2)
        await quiet()
    assert answer.given == ["evicted"]
    assert await bench.ask(2, Add(number(1))) == 1


async def test_an_id_older_than_memory_is_answered_from_its_row() -> None:
    bench = Bench()
    for n in range(1, 9):
        await bench.ask(2, Add(number(n)))
    assert bench.store.finds == []
    twin = bench.send(2, Add(number(1)))
    bench.refuse(2)  # the unique index knows it
    await quiet()
    assert twin.given == ["replay of 1"]


async def test_a_suspect_is_looked_up_first_for_a_minute() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    answer = bench.send(2, Add(number(1)))
    bench.refuse(2)
    await quiet()
    bench.commit()
    assert answer.given == [1]
    assert bench.store.finds == [number(1)]
    bench.now_ms += 59_999
    await bench.ask(2, Add(number(2)))
    assert bench.store.finds == [number(1), number(2)]
    assert await bench.ask(2, Read()) == 2, "a command without a request id is not looked up"
    bench.now_ms += 1
    await bench.ask(2, Add(number(3)))
    assert bench.store.finds == [number(1), number(2)]


async def test_a_lost_lane_leaves_nothing_uncommitted_in_memory() -> None:
    bench = Bench()
    for key in (1, 2):
        await bench.ask(key, Read())
    answers = [bench.send(2, command) for command in (Add(number(1)), Read(), Refuse())]
    untouched = bench.send(1, Add(number(1)))
    bench.lose()
    assert [answer.given for answer in answers] == [["storage_unavailable"]] * 3
    assert bench.send(2, Read()).given == ["storage_unavailable"]
    bench.commit(lane=1)
    assert untouched.given == [1]
    bench.lanes[0].open = True
    assert await bench.ask(2, Read()) == 0
    assert await bench.ask(2, Add(number(1))) == 1


async def test_a_lost_commit_that_happened_is_replayed_to_who_asks_again() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    answer = bench.send(2, Add(number(1), 5))
    bench.store.facts[2] = [Added(2, 1, 5, number(1), None)]
    bench.lose()
    assert answer.given == ["storage_unavailable"]
    bench.lanes[0].open = True
    assert await bench.ask(2, Add(number(1), 5)) == "replay of 1"
    assert await bench.ask(2, Add(number(1), 6)) == "request_mismatch"
    assert await bench.ask(2, Read()) == 5


async def test_a_lost_lane_answers_those_that_wait_for_a_read() -> None:
    bench = Bench()
    await bench.ask(4, Add(number(1)))
    bench.store.gate.clear()
    cold = bench.send(2, Read())
    twin, behind = bench.send(4, Add(number(1))), bench.send(4, Read())
    await quiet()
    bench.lose()
    assert (cold.given, behind.given) == (["storage_unavailable"], ["storage_unavailable"])
    bench.lanes[0].open = True
    fresh = bench.send(2, Add(number(7)))
    bench.store.gate.set()
    await quiet()
    bench.commit()
    assert twin.given == ["storage_unavailable"]
    assert fresh.given == [1]


async def test_rows_read_before_a_loss_revive_nobody() -> None:
    bench = Bench()
    bench.store.gate.clear()
    cold = bench.send(2, Add(number(1)))
    await quiet()
    bench.lose()
    bench.store.gate.set()
    await quiet()
    assert cold.given == ["storage_unavailable"]
    assert (bench.node.live, bench.lanes[0].writes) == (0, [])


async def test_a_duplicate_whose_original_is_lost_is_not_answered_as_done() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    original, twin = bench.send(2, Add(number(1))), bench.send(2, Add(number(1)))
    bench.lose()
    assert original.given == twin.given == ["storage_unavailable"]


async def test_broken_replies_keep_nobody_from_hearing_of_a_loss() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    answers = [bench.send(2, Add(number(n)), broken=n == 0) for n in range(3)]
    bench.store.gate.clear()
    cold = [bench.send(4, Read(), broken=n == 0) for n in range(3)]
    bench.lose()
    assert [answer.given for answer in answers + cold] == [["storage_unavailable"]] * 6
    assert bench.node.live == 0
    bench.node.close()


async def test_a_message_that_is_refused_stays_in_the_outbox_for_the_sweep() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    await bench.ask(1, Read())
    sent = bench.send(2, Add(number(1), 5, tell=1))
    decision = bench.lanes[0].writes[0].outcome
    assert isinstance(decision, Decision)
    (message,) = decision.messages
    bench.commit()
    bench.lose(lane=1)
    assert sent.given == [5]
    assert (bench.post.under_way, bench.outbox.forgotten) == (0, [])
    bench.lanes[1].open = True
    bench.outbox.waiting = [message]
    for _ in range(2):  # the second sweep finds it under way already
        assert await bench.post.sweep() == 1
    await quiet()
    assert len(bench.lanes[1].writes) == 1
    bench.commit(lane=1)
    assert bench.outbox.forgotten == [message.id]
    # Delivered again, though deleted late: the receiver knows its id.
    await bench.post.sweep()
    await quiet()
    assert bench.outbox.forgotten == [message.id, message.id]
    assert bench.send(1, Read()).given == [5]


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (MOVING, "storage_unavailable"),
        (OVERLOADED, "storage_unavailable"),
        (ROUND_OVER, "round_over"),
    ],
)
def test_whoever_waits_for_a_message_that_stays_on_its_way_knows_nothing(
    refused: ErrorKind, told: str
) -> None:
    post = Post(BenchOutbox())
    post.bind(lambda _kind, _key, _body, reply: reply.reject(Failure(refused)))
    answer = Answer([], "deferred")
    post.deliver(Message(number(1), "counter", 2, Read()), answer)
    assert (answer.given, post.under_way) == ([told], 0)
