"""The runtime: order, waiting for commits, replays, bounds, passivation and draining."""

import asyncio
import logging
from uuid import UUID

import pytest

from actors.decision import Item, Notice
from actors.runtime import hydration, node
from actors.runtime.alarms import Alarm
from protocol.bounds import MAX_INBOX
from tests.simulation.loop import on_virtual_time
from tests.support.bench import Bench, quiet
from tests.support.counter import Add, Break, Read, Refuse, RefuseUnlessDone, number


async def test_commands_wait_for_hydration_and_run_in_order() -> None:
    bench = Bench()
    bench.store.gate.clear()
    first, second, third = (bench.send(2, Add(number(n), 10**n)) for n in range(3))
    await quiet()
    assert bench.lanes[0].writes == []
    bench.store.gate.set()
    await quiet()
    bench.commit()
    assert (first.given, second.given, third.given) == ([1], [11], [111])


async def test_actors_that_wake_together_are_read_in_one_go() -> None:
    bench = Bench()
    for key in range(1, 6):
        bench.send(key, Read())
    await quiet()
    assert bench.store.reads == [[1, 2, 3, 4, 5]]


async def test_of_one_commit_a_room_is_told_the_newest_after_all_answers() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(0)))
    await bench.ask(4, Add(number(1)))
    bench.happened.clear()
    for n in (2, 3):
        bench.send(2, Add(number(n)))
    bench.send(4, Add(number(4)))
    bench.commit()
    assert [one for one in bench.happened if one[0] == "push"] == bench.happened[-2:]
    assert [one[1:3] for one in bench.happened[-2:]] == [("counter:2", 3), ("counter:4", 2)]


async def test_every_notice_and_item_of_a_commit_is_told_in_order_after_all_answers() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(0)))
    bench.happened.clear()
    same = Notice("table", "said", "same")
    bench.send(2, Add(number(1), also=(same, Item("table", "joined", 1), same)))
    bench.send(2, Add(number(2), also=(Item("table", "joined", 1), Notice("table", "said", 2))))
    bench.commit()
    assert [one[0] for one in bench.happened[:2]] == ["answer", "answer"]
    told = [one[2] for one in bench.happened[2:]]
    assert told == [3, "same", 1, "same", 1, 2], "the count once, all else as often as it was said"


async def test_reads_are_bounded_by_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hydration, "BATCH", 2)
    bench = Bench()
    answers = [bench.send(key, Read()) for key in range(1, 6)]
    await quiet()
    assert bench.store.reads == [[1, 2], [3, 4], [5]]
    assert [answer.given for answer in answers] == [[0]] * 5


async def test_an_inbox_is_bounded() -> None:
    bench = Bench()
    bench.store.gate.clear()
    waiting = [bench.send(2, Add(number(n))) for n in range(MAX_INBOX)]
    late = bench.send(2, Read())
    assert late.given == ["overloaded"]
    bench.store.gate.set()
    await quiet()
    bench.commit()
    assert [answer.given for answer in waiting] == [[n + 1] for n in range(MAX_INBOX)]


async def test_an_unreadable_actor_refuses_those_that_wait_and_is_read_again() -> None:
    bench = Bench()
    bench.store.broken = True
    first, second = bench.send(2, Read()), bench.send(2, Add(number(1)))
    await quiet()
    assert first.given == second.given == ["storage_unavailable"]
    assert bench.node.live == 0
    bench.store.broken = False
    assert await bench.ask(2, Read()) == 0


@on_virtual_time
async def test_a_read_that_takes_too_long_is_given_up() -> None:
    bench = Bench()
    bench.store.gate.clear()
    answer = bench.send(2, Read())
    await asyncio.sleep(10)
    assert answer.given == ["storage_unavailable"]


async def test_rows_that_do_not_fit_make_an_actor_unreadable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1)))
    bench.store.facts[2] *= 2  # seq 1 twice
    bench.node.passivate(-1, 10)
    bench.store.snapshots.clear()
    answers = [bench.send(2, Read()), bench.send(4, Read())]
    await quiet()
    assert [answer.given for answer in answers] == [["storage_unavailable"], [0]]
    assert "does not fit its own rows" in caplog.text


async def test_an_answer_a_push_and_a_message_wait_for_the_commit() -> None:
    bench = Bench()
    await bench.ask(4, Read())
    add = Add(number(1), 5, tell=4)
    answer = bench.send(2, add)
    await quiet()
    assert (answer.given, len(bench.happened), bench.post.under_way) == ([], 1, 0)
    bench.commit()
    assert answer.given == [5]
    assert bench.happened[1:] == [("answer", add, 5), ("push", "counter:2", 5, True)]
    assert bench.post.under_way == 1
    bench.commit()
    assert bench.post.under_way == 0
    assert bench.outbox.forgotten == [UUID(int=2_000_001)]
    assert await bench.ask(4, Read()) == 5


async def test_a_read_waits_for_the_newest_uncommitted_fact() -> None:
    bench = Bench()
    assert await bench.ask(2, Read()) == 0
    bench.send(2, Add(number(1), 5))
    answer = bench.send(2, Read())
    await quiet()
    assert answer.given == []
    bench.commit()
    assert answer.given == [5]
    at_once = bench.send(2, Read())
    assert at_once.given == [5]


async def test_a_refusal_waits_too() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    bench.send(2, Add(number(1)))
    answer = bench.send(2, Refuse())
    await quiet()
    assert answer.given == []
    bench.commit()
    assert answer.given == ["insufficient_balance"]
    assert bench.send(2, Refuse()).given == ["insufficient_balance"]


async def test_what_was_done_before_any_memory_of_it_is_answered_instead_of_refused() -> None:
    bench = Bench()
    for n in range(1, 7):
        await bench.ask(2, Add(number(n), 5))
    assert await bench.ask(2, RefuseUnlessDone(number(1), 5)) == "replay of 1"
    assert await bench.ask(2, RefuseUnlessDone(number(1), 6)) == "request_mismatch"
    assert await bench.ask(2, RefuseUnlessDone(number(9), 5)) == "insufficient_balance"
    assert bench.store.finds == [number(1), number(1), number(9)]


async def test_a_refusal_that_is_looked_up_waits_and_keeps_the_order() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    first = bench.send(2, Add(number(1), 5))
    refused, next_ = bench.send(2, RefuseUnlessDone(number(2))), bench.send(2, Add(number(3), 1))
    await quiet()
    assert (bench.store.finds, refused.given) == ([], [])
    bench.commit()
    await quiet()
    bench.commit()
    assert (first.given, refused.given, next_.given) == ([5], ["insufficient_balance"], [6])


async def test_a_fault_in_a_rule_is_internal_and_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    assert await bench.ask(2, Break()) == "internal"
    assert "the rule of Break failed" in caplog.text
    assert await bench.ask(2, Add(number(1))) == 1


async def test_a_duplicate_of_something_uncommitted_waits_and_is_replayed() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    first = bench.send(2, Add(number(1), 5))
    twin, other = bench.send(2, Add(number(1), 5)), bench.send(2, Add(number(2), 1))
    await quiet()
    assert (bench.store.finds, twin.given) == ([], [])
    bench.commit()
    await quiet()
    bench.commit()
    assert (first.given, twin.given, other.given) == ([5], ["replay of 1"], [6])


async def test_the_same_id_with_other_content_is_a_mismatch() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1), 5))
    assert await bench.ask(2, Add(number(1), 6)) == "request_mismatch"
    assert await bench.ask(2, Add(number(1), 5)) == "replay of 1"
    assert await bench.ask(2, Read()) == 5


async def test_lookups_are_bounded_and_those_that_wait_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hydration, "MAX_LOOKUPS", 1)
    bench = Bench()
    for key in (2, 4):
        await bench.ask(key, Add(number(1)))
    bench.store.gate.clear()
    first, second = bench.send(2, Add(number(1))), bench.send(4, Add(number(1)))
    await quiet()
    assert (first.given, second.given) == ([], ["overloaded"])
    behind_first, behind_second = bench.send(2, Read()), bench.send(4, Read())
    assert (behind_first.given, behind_second.given) == ([], [1])
    bench.store.gate.set()
    await quiet()
    assert (first.given, behind_first.given) == (["replay of 1"], [1])


async def test_a_lookup_that_fails_is_temporary_and_those_that_wait_go_on() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1)))
    bench.store.broken = True
    twin, behind = bench.send(2, Add(number(1))), bench.send(2, Read())
    await quiet()
    assert (twin.given, behind.given) == (["storage_unavailable"], [1])


async def test_a_full_lane_refuses_and_nothing_changes() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    bench.lanes[0].full = True
    assert bench.send(2, Add(number(1))).given == ["overloaded"]
    bench.lanes[0].full = False
    assert await bench.ask(2, Add(number(1))) == 1


async def test_a_lane_that_is_not_ours_wakes_nobody() -> None:
    bench = Bench()
    bench.lanes[0].open = False
    assert bench.send(2, Read()).given == ["storage_unavailable"]
    assert (bench.node.live, bench.store.reads) == (0, [])
    assert await bench.ask(1, Read()) == 0


async def test_live_actors_are_bounded_and_idle_ones_make_room() -> None:
    bench = Bench(max_live=2)
    await bench.ask(2, Add(number(1), alarm_ms=9_000))
    await bench.ask(4, Add(number(2)))
    assert await bench.ask(6, Add(number(3), alarm_ms=9_000)) == 1
    assert bench.node.live == 2
    # Both have an alarm now, so neither may go.
    assert bench.send(8, Read()).given == ["overloaded"]
    assert await bench.ask(2, Read()) == 1


async def test_passivation_takes_only_who_is_idle_for_long_enough() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1)))  # idle, the only one that may go
    await bench.ask(4, Add(number(2), alarm_ms=9_000))  # has an alarm
    await bench.ask(6, Add(number(3)))
    await bench.ask(8, Add(number(4)))
    bench.store.gate.clear()
    bench.send(6, Add(number(3)))  # looks up a row
    bench.send(10, Read())  # is being read
    bench.now_ms += 500
    bench.send(8, Add(number(5)))  # has something uncommitted
    assert bench.node.passivate(500, 100) == 1
    assert bench.store.snapshots == {2: (1, b"1 1 1")}
    bench.store.gate.set()
    await quiet()
    bench.commit()
    assert bench.node.passivate(500, 100) == 1, "only counter 6 was not touched just now"
    bench.now_ms += 500
    assert bench.node.passivate(500, 100) == 2
    assert await bench.ask(8, Read()) == 2
    bench.node.close()


async def test_passivation_goes_on_where_it_stopped() -> None:
    bench = Bench()
    for key in range(2, 12, 2):
        await bench.ask(key, Read())
    bench.now_ms += 1
    assert [bench.node.passivate(1, 2) for _ in range(4)] == [2, 2, 1, 0]


async def test_few_are_put_away_in_one_turn_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "PUT_AWAY_TOGETHER", 2)
    bench = Bench()
    for key in range(2, 12, 2):
        await bench.ask(key, Add(number(key)))
    bench.now_ms += 1
    assert bench.node.passivate(1, 100) == 2
    assert len(bench.store.snapshots) == 2
    turns = [len(bench.store.snapshots) for _pause in bench.node.put_all_away()]
    assert turns == [4]
    assert len(bench.store.snapshots) == 5
    assert not bench.node.live


async def test_a_snapshot_is_put_only_when_its_facts_are_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node, "SNAPSHOT_EVERY", 2)
    bench = Bench()
    await bench.ask(2, Read())
    for n in range(3):
        bench.send(2, Add(number(n)))
    assert bench.store.snapshots == {}
    bench.commit()
    assert bench.store.snapshots == {2: (2, b"2 2 0 1")}
    await bench.ask(2, Add(number(9)))
    assert bench.store.snapshots == {2: (4, b"4 4 0 1 2 9")}


async def test_a_drained_node_finishes_what_it_has_and_takes_nothing_new() -> None:
    bench = Bench()
    await bench.ask(2, Read())
    accepted = bench.send(2, Add(number(1)))
    bench.node.drain()
    assert bench.send(2, Add(number(2))).given == ["draining"]
    assert bench.send(4, Read()).given == ["draining"]
    bench.commit()
    assert accepted.given == [1]


@pytest.mark.parametrize("live", [True, False])
async def test_a_broken_reply_harms_nobody_else(
    live: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    if live:
        await bench.ask(2, Read())
    broken = [
        bench.send(2, Read(), broken=True),
        bench.send(2, Add(number(1), tell=4), broken=True),
        bench.send(2, Refuse(), broken=True),
    ]
    whole = bench.send(2, Read())
    await quiet()
    bench.commit()
    await quiet()
    assert [answer.given for answer in broken] == [[0], [1], ["insufficient_balance"]]
    assert whole.given == [1]
    assert ("push", "counter:2", 1, True) in bench.happened
    assert bench.post.under_way == 1
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 3


async def test_a_broken_reply_to_a_replay_frees_its_actor() -> None:
    bench = Bench()
    await bench.ask(2, Add(number(1)))
    bench.send(2, Add(number(1)), broken=True)
    behind = bench.send(2, Read())
    await quiet()
    assert behind.given == [1]


async def test_an_unknown_command_is_internal() -> None:
    bench = Bench()
    assert await bench.ask(2, object()) == "internal"


async def test_an_alarm_is_a_command_like_any_other() -> None:
    bench = Bench()
    assert await bench.ask(2, Alarm()) is None
    assert await bench.ask(2, Read()) == 100
