"""Crash tables and wallets under any sequence of bets, times, interruptions and messages."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.crash.commands import CashOut, Join, Leave, StakeCrash, Wake
from actors.crash.facts import JOINED, RETURNED
from actors.decision import Message
from actors.runtime.alarms import Alarm
from protocol.errors import Failure
from tests.support.rounds import T0, TABLE, Felt, chain
from tests.support.wallets import Wallets, request

PLAYERS = (1, 2, 3)
FUNDED = 10_000
SMALL = replace(TABLE, bankroll=5_000, bet_share_percent=50, round_share_percent=60, max_bets=2)

stakes = st.integers(1, 3_000)
targets = st.none() | st.integers(101, 400) | st.integers(99, 1_000)
# Mostly for the newest round, and mostly the message arrives at once.
rounds = st.sampled_from([0, 0, 0, 0, -1, 1])
arrive = st.sampled_from([True, True, False])
acts = st.one_of(
    st.tuples(st.just("bet"), st.sampled_from(PLAYERS), stakes, targets, rounds, arrive),
    st.tuples(st.just("cash out"), st.sampled_from(PLAYERS)),
    st.tuples(st.just("leave"), st.sampled_from(PLAYERS)),
    st.tuples(st.just("wait"), st.sampled_from([1, 50, 1_000, 3_000, 5_000, 60_000])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("deliver"), st.integers(0, 9), st.booleans()),
)


class Casino:
    """Wallets and a table, and messages that arrive in any order, some of them again."""

    def __init__(self) -> None:
        self.wallets = Wallets()
        self.felt = Felt(chain(length=300, busts=lambda bust: bust > 250), table=SMALL)
        self.posted: list[Message] = []
        self.requests = 0
        for player in PLAYERS:
            self.wallets.fund(player, FUNDED)
        self.felt.now_ms = T0
        self.felt.do(Wake())

    def act(self, act: tuple[Any, ...]) -> None:
        """Do one thing, whatever comes of it, and see that nothing is lost."""
        match act:
            case ("bet", player, stake, auto, ahead, arrives):
                self._bet(player, stake, auto, self.felt.state.rounds + ahead)
                if arrives and self.posted:
                    self.deliver(len(self.posted) - 1, again=False)
            case ("cash out", player):
                self._at_table(CashOut(self.felt.state.rounds, player))
            case ("leave", player):
                self._at_table(Leave(self.felt.state.rounds, player))
            case ("wait", for_ms):
                self.felt.now_ms += for_ms
                self._at_table(Alarm())
            case ("restart",):
                self.felt.restart()
            case ("deliver", which, again):
                if self.posted:
                    self.deliver(which % len(self.posted), again=again)
        self.check()

    def _bet(self, player: int, stake: int, auto: int | None, number: int) -> None:
        self.requests += 1
        made = StakeCrash(1, number, f"player{player}", stake, "PLAY", auto, request(self.requests))
        self.wallets.set_clock(self.felt.now_ms)
        try:
            self.wallets.act(player, made)
        except Failure:
            return
        self._collect(self.wallets.sent)

    def _at_table(self, command: Any) -> Any:
        reply = self.felt.do(command)
        self._collect(self.felt.sent)
        return reply

    def _collect(self, sent: list[Message]) -> None:
        self.posted += sent
        sent.clear()

    def deliver(self, which: int, *, again: bool) -> None:
        """Let a message arrive; one that arrives again later is not forgotten yet."""
        message = self.posted[which] if again else self.posted.pop(which)
        if isinstance(message.body, Join):
            self._at_table(message.body)
        else:
            self.wallets.set_clock(self.felt.now_ms)
            self.wallets.deliver(message)
            self._collect(self.wallets.sent)

    def check(self) -> None:
        """Money is where it was, less what the house has made of bets that are settled."""
        there = house = 0
        for player in PLAYERS:
            balance = self.wallets.state(player).balance("PLAY")
            there += balance.available + balance.held
            held = sum(hold.stake_minor for hold in self.wallets.state(player).holds.values())
            assert balance.held == held
            for entry in self.wallets.entries(player):
                if entry.kind == "settle" and entry.step is not None:
                    house += (entry.step.stake_minor or 0) - (entry.step.payout_minor or 0)
        assert there == len(PLAYERS) * FUNDED - house
        assert self.felt.round.won_minor <= SMALL.most_round_profit_minor

    def end(self) -> None:
        """Let everything arrive, and time pass until nothing is held."""
        while self.posted or any(self.wallets.state(player).holds for player in PLAYERS):
            while self.posted:
                self.deliver(0, again=False)
            self.act(("wait", 60_000))


@given(st.lists(acts, max_size=40))
def test_every_stake_ends_once_and_no_money_is_made_or_lost(done: list[tuple[Any, ...]]) -> None:
    casino = Casino()
    for act in done:
        casino.act(act)
    casino.end()
    casino.check()

    told = casino.felt.ends_by_hold()
    taken = {(r.wallet_id, r.hold) for r in casino.felt.rows if r.kind in (JOINED, RETURNED)}
    assert set(told) == taken
    for player in PLAYERS:
        entries = casino.wallets.entries(player)
        closed = {e.step.hold: e for e in entries if e.kind in ("settle", "release") and e.step}
        for opened in (entry for entry in entries if entry.kind == "hold"):
            row, entry = told[player, opened.seq], closed.pop(opened.seq)
            assert entry.step is not None
            assert entry.step.payout_minor == row.payout_minor
            assert (entry.kind == "release") is (row.payout_minor is None)
            if row.kind == "cashed_out":
                assert (
                    row.payout_minor == (entry.step.stake_minor or 0) * (row.multiplier or 0) // 100
                )
            else:
                assert not row.payout_minor
        assert closed == {}


@given(st.lists(acts, max_size=30))
def test_a_table_read_back_at_any_moment_is_the_one_that_was_live(
    done: list[tuple[Any, ...]],
) -> None:
    casino = Casino()
    for act in done:
        casino.act(act)
    felt = casino.felt
    live, live_round = felt.state, felt.round
    felt.restart()
    apart = {"round", "shown", "interrupted"}
    for name in set(type(live).__slots__) - apart:
        assert getattr(felt.state, name) == getattr(live, name), name
    for name in type(live_round).__slots__:
        assert getattr(felt.round, name) == getattr(live_round, name), name
    assert felt.state.interrupted is (live_round.ended_at_ms is None)
