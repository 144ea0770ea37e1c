"""A crash round from its opening to the next one: phases, times, events, and where it pays."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from actors.crash import odds, turn
from actors.crash.chain import before
from actors.crash.commands import Wake
from actors.runtime.alarms import Alarm
from protocol.commands.crash import Phase
from tests.support.rounds import T0, TABLE, Felt, bodies, chain, code

AUTO, MANUAL = "auto", "manual"


def test_a_round_goes_through_its_phases_each_at_its_time() -> None:
    felt = Felt()
    felt.open()
    opened = felt.events("round:opened")[0]
    assert (opened.round_id, opened.at_ms, opened.deadline_ms) == ("1-1", T0, T0 + 5_000)
    assert felt.alarm_ms == T0 + 5_000

    felt.do(Alarm(), T0 + 4_999)
    assert (felt.kinds(), felt.alarm_ms) == (["opened"], T0 + 5_000)
    felt.do(Alarm(), T0 + 5_000)
    (started,) = felt.events("round:started")
    assert (started.round_id, started.at_ms) == ("1-1", T0 + 5_000)
    assert felt.alarm_ms == T0 + 5_250

    felt.do(Alarm(), felt.busts_ms - 1)
    assert felt.kinds() == ["opened", "started"]
    assert felt.alarm_ms == felt.busts_ms
    felt.do(Alarm(), felt.busts_ms)
    (crashed,) = felt.events("round:crashed")
    assert (crashed.round_id, crashed.at_ms) == ("1-1", felt.now_ms)
    assert (crashed.bust, crashed.hash) == (felt.round.bust, felt.round.hash)
    assert crashed.deadline_ms == felt.alarm_ms == felt.now_ms + 3_000

    felt.do(Alarm(), felt.now_ms + 2_999)
    assert felt.kinds() == ["opened", "started", "crashed"]
    felt.do(Alarm(), felt.now_ms + 1)
    assert felt.events("round:opened")[1].round_id == "1-2"
    assert felt.kinds() == ["opened", "started", "crashed", "opened"]


def test_each_phase_is_shown_with_its_deadline_and_no_hash_before_the_end() -> None:
    felt = Felt()
    shown = felt.shown(at_ms=T0)
    felt.shown()
    for at_ms, phase, deadline_ms in (
        (T0 + 1_000, Phase.BETTING, T0 + 5_000),
        (T0 + 6_000, Phase.RUNNING, None),
    ):
        shown = felt.shown(at_ms=at_ms)
        assert (shown.phase, shown.deadline_ms, shown.round_id) == (phase, deadline_ms, "1-1")
        assert (shown.bust, shown.hash) == (None, None)
        assert shown.hash_before == before(felt.round.hash)
    assert shown.started_at_ms == felt.started_ms
    assert shown.multiplier == odds.multiplier_at(felt.now_ms - felt.started_ms)
    shown = felt.shown(at_ms=felt.busts_ms)
    assert (shown.phase, shown.deadline_ms) == (Phase.CRASHED, felt.now_ms + 3_000)
    assert (shown.bust, shown.hash, shown.hash_before) == (felt.round.bust, felt.round.hash, None)
    shown = felt.shown(at_ms=felt.now_ms + 3_000)
    assert (shown.phase, shown.round_id, shown.hash) == (Phase.BETTING, "1-2", None)
    assert shown.rounds[0].hash == shown.hash_before == before(felt.round.hash)


def test_a_round_that_opens_as_the_last_one_ends_shows_what_the_last_one_was() -> None:
    felt = Felt(table=replace(TABLE, pause_ms=0))
    felt.open()
    felt.start()
    ended = felt.round
    shown = felt.shown(at_ms=felt.busts_ms)
    assert felt.kinds()[-2:] == ["crashed", "opened"]
    assert (shown.phase, shown.round_id, shown.hash) == (Phase.BETTING, "1-2", None)
    assert shown.hash_before == ended.hash
    # Nobody can know its number yet: a bet on it came before it was opened.
    assert code(felt.ask(1, number=3)) == "unknown_round"


def test_rounds_follow_their_chain_and_the_clock_for_many_rounds() -> None:
    felt = Felt(chain(length=8), chain(2, length=4))
    felt.open()
    while felt.alarm_ms:
        felt.do(Alarm(), felt.alarm_ms)
    ends = [row for row in felt.rows if row.kind == "crashed"]
    assert [(row.chain_id, row.position) for row in ends] == [
        *((1, position) for position in range(1, 9)),
        *((2, position) for position in range(1, 5)),
    ]
    for first, second in pairwise(ends):
        assert first.hash is not None
        assert second.hash is not None
        if first.chain_id == second.chain_id:
            assert before(second.hash) == first.hash
    for row in ends:
        assert row.hash is not None
        assert row.chain_id is not None
        seed = felt.state.chain(row.chain_id).public_seed
        assert row.multiplier == odds.bust(row.hash, seed)
        started = next(one for one in felt.rows if (one.round, one.kind) == (row.round, "started"))
        assert row.at_ms - started.at_ms == odds.reached_at(row.multiplier)


def test_ticks_are_modest_volatile_and_never_beyond_the_bust() -> None:
    felt = Felt(busts=lambda bust: 120 < bust < 140)
    felt.open()
    felt.start()
    while felt.round.running:
        assert felt.alarm_ms is not None
        felt.do(Alarm(), felt.alarm_ms)
    ticks = felt.events("round:ticked")
    assert [tick.elapsed_ms for tick in ticks] == [
        250 * number for number in range((felt.round.bust_ms - 1) // 250 + 1)
    ]
    assert all(tick.multiplier == odds.multiplier_at(tick.elapsed_ms) for tick in ticks)
    assert all(tick.multiplier < felt.round.bust for tick in ticks)
    assert all(push.volatile for push in felt.told if push.event == "round:ticked")


@pytest.mark.parametrize("late_ms", [0, 1, 250, 60_000])
def test_a_late_timer_pays_nobody_above_the_bust(late_ms: int) -> None:
    felt = Felt(busts=lambda bust: 200 < bust < 400)
    bust = felt.open().bust
    targets = [101, 150, bust - 1, bust, bust + 1, 10_000, None]
    for wallet_id, target in enumerate(targets, 1):
        felt.join(wallet_id, auto=target)
    felt.start()
    felt.do(Alarm(), felt.busts_ms + late_ms)
    assert felt.ends() == {
        **{n: ("cashed_out", target, target, AUTO) for n, target in enumerate(targets[:4], 1)},
        **dict.fromkeys((5, 6, 7), ("lost", None, 0, None)),
    }


@pytest.mark.parametrize("late_ms", [5_000, 5_001, 300_000])
def test_a_round_whose_start_was_late_rises_from_then_on(late_ms: int) -> None:
    felt = Felt()
    felt.open()
    felt.join(1, auto=101)
    felt.do(Alarm(), T0 + late_ms)
    assert felt.started_ms == T0 + late_ms
    assert felt.round.running
    assert felt.ends() == {}


def test_a_bust_at_once_ends_in_the_decision_that_starts_the_round() -> None:
    felt = Felt(busts=lambda bust: bust == 100)
    felt.open()
    felt.join(1, auto=101)
    felt.join(2)
    felt.do(Alarm(), T0 + 5_000)
    assert felt.kinds()[-4:] == ["started", "crashed", "lost", "lost"]
    assert felt.events("round:crashed")[0].bust == 100
    assert felt.ends() == dict.fromkeys((1, 2), ("lost", None, 0, None))


@pytest.mark.parametrize(
    ("when", "answer"),
    [
        (-1, None),
        (0, "round_over"),
        (1, "round_over"),
        (2_999, "round_over"),
        (9_000, "round_over"),
    ],
)
def test_a_manual_cashout_counts_by_its_arrival(when: int, answer: str | None) -> None:
    felt = Felt(busts=lambda bust: 200 < bust < 400)
    felt.open()
    felt.join(1, stake=1_001)
    felt.start()
    # No timer has rung since: the decision alone brings the round up to its time.
    reply = felt.cash_out(1, felt.busts_ms + when, number=1)
    assert code(reply) == answer
    if answer is None:
        at = odds.multiplier_at(felt.round.bust_ms - 1)
        assert (reply.multiplier, reply.payout) == (at, 1_001 * at // 100)
        assert at < felt.round.bust
        assert felt.ends() == {1: ("cashed_out", at, 1_001 * at // 100, MANUAL)}
    else:
        assert felt.ends() == {1: ("lost", None, 0, None)}


def test_targets_are_paid_before_a_manual_cashout_of_the_same_moment() -> None:
    felt = Felt(busts=lambda bust: bust > 400)
    felt.open()
    felt.join(1, auto=150)
    felt.join(2, auto=200)
    felt.join(3)
    felt.join(4, auto=300)
    felt.start()
    reply = felt.cash_out(3, felt.at(250))
    assert reply.multiplier == 250
    assert [(row.wallet_id, row.multiplier) for row in felt.rows if row.kind == "cashed_out"] == [
        (1, 150),
        (2, 200),
        (3, 250),
    ]
    # A target is exact though the multiplier has passed it; and it was paid, so this is too late.
    late = felt.cash_out(4, felt.at(350))
    assert (code(late), late.details) == ("already_cashed_out", {"multiplier": 300, "payout": 300})


def test_a_round_of_many_ends_in_slices_and_each_bet_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "ENDED_TOGETHER", 3)
    felt = Felt()
    felt.open()
    for wallet_id in range(1, 9):
        felt.join(wallet_id)
    felt.start()
    felt.do(Alarm(), felt.busts_ms)
    assert felt.kinds()[-4:] == ["crashed", "lost", "lost", "lost"]
    assert (felt.alarm_ms, felt.round.open_bets) == (felt.now_ms, 5)
    shown = felt.shown(8)
    # Any decision ends the next few, whatever it was asked for.
    assert (shown.phase, felt.round.open_bets) == (Phase.CRASHED, 2)
    felt.restart()
    felt.do(Alarm(), felt.now_ms + 60_000)
    assert felt.round.number == 2
    assert felt.ends() == dict.fromkeys(range(1, 9), ("lost", None, 0, None))
    assert [(told["wallet"], told["payout_minor"]) for told in bodies(felt.sent)] == [
        (wallet_id, 0) for wallet_id in range(1, 9)
    ]


def test_a_paused_table_finishes_its_round_and_opens_none() -> None:
    paused: set[str] = set()
    felt = Felt(paused=paused)
    felt.open()
    felt.join(1, auto=150)
    paused.add("crash:1")
    assert code(felt.ask(2)) == "game_paused"
    felt.start()
    felt.do(Alarm(), felt.busts_ms)
    assert felt.ends() == {1: ("cashed_out", 150, 150, AUTO)}
    assert felt.do(Wake(), felt.now_ms + 3_000) is False
    assert felt.shown().phase is Phase.PAUSED
    assert (felt.state.rounds, felt.alarm_ms) == (1, 0)
    paused.clear()
    felt.do(Wake(), felt.now_ms + 60_000)
    assert felt.state.rounds == 2


@pytest.mark.parametrize("name", ["crash", "crash:1"])
def test_a_pause_is_of_one_table_or_of_all(name: str) -> None:
    assert code(Felt(paused={name}).ask(1, number=1)) == "game_paused"
    assert code(Felt(paused={"crash:2", "dice"}).ask(1, number=5)) == "unknown_round"


def test_a_table_without_hashes_waits_and_goes_on_with_the_next_chain() -> None:
    felt = Felt(chain(length=1))
    felt.open()
    felt.start()
    felt.do(Alarm(), felt.busts_ms)
    assert felt.do(Wake(), felt.now_ms + 1) is False
    # Now nothing but a chain is missing, which is for whoever wakes it to bring.
    assert felt.do(Wake(), felt.now_ms + 3_000) is True
    assert (felt.shown().phase, felt.alarm_ms) == (Phase.WAITING, 0)
    felt.chains.chains.append(chain(2, length=3))
    felt.restart()
    assert felt.do(Wake()) is False
    assert (felt.round.number, felt.round.chain_id, felt.round.position) == (2, 2, 1)


def test_a_table_that_never_had_a_chain_waits() -> None:
    felt = Felt()
    felt.chains.chains.clear()
    assert felt.do(Wake()) is True
    shown = felt.shown()
    assert (shown.phase, shown.round_id, shown.public_seed) == (Phase.WAITING, None, None)
    assert code(felt.ask(1, number=1)) == "unknown_round"


def test_a_changed_configuration_does_not_change_an_open_round() -> None:
    felt = Felt(busts=lambda bust: 300 < bust < 400)
    bust = felt.open().bust
    changed = replace(TABLE, edge_percent=50, most_multiplier=150)
    felt.kind = Felt(table=changed).kind
    felt.restart()
    assert felt.round.bust == bust


def test_a_table_that_opens_its_very_first_round_lacks_nothing() -> None:
    felt = Felt()
    assert felt.do(Wake(), T0) is False
    assert felt.kinds() == ["opened"]
