"""Any sequence of play, limits and days: no wager is taken that the player's limits refuse."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.wallet.commands import Adjust, ReleaseHold, SettleHold
from actors.wallet.facts import DEPOSIT, FAUCET, WITHDRAWAL, Entry, RestrictionSet
from actors.wallet.state import WalletState, apply
from protocol.commands.limits import CoolOff, Exclude, GetLimits, LimitKind, Period, SetLimit
from protocol.commands.mines import StartMines
from protocol.errors import (
    COOLING_OFF,
    DEPOSIT_LIMIT_REACHED,
    LOSS_LIMIT_REACHED,
    SELF_EXCLUDED,
    STAKE_LIMIT_REACHED,
    TOO_MANY_CHANGES,
)
from tests.support.limits_of_play import Guardian
from tests.support.wallets import KIND, OPERATOR, Wallets, refusal, request, roll

PLAYER = 1
# 2027-01-29 20:00, a Friday: the month ends on the Sunday.
BEGIN_MS = 1_801_252_800_000
HOUR = 3_600_000
AMOUNTS = st.integers(1, 1_000)
CURRENCIES = st.sampled_from(["PLAY", "USD"])
BY_THE_PLAYER = {
    STAKE_LIMIT_REACHED,
    LOSS_LIMIT_REACHED,
    DEPOSIT_LIMIT_REACHED,
    COOLING_OFF,
    SELF_EXCLUDED,
}


def counted(state: WalletState) -> tuple[Any, ...]:
    """What limits rest on."""
    return (state.balances, state.restrictions, state.day_ends_ms, list(state.holds))


class Player(RuleBasedStateMachine):
    """One player and a guardian, who must refuse the same."""

    def __init__(self) -> None:
        super().__init__()
        self.wallets = Wallets()
        self.wallets.set_clock(BEGIN_MS)
        self.guardian = Guardian()
        self.requests = 0
        self.snapshot: tuple[int, bytes | None] = (0, None)

    @initialize()
    def fund(self) -> None:
        for currency in ("PLAY", "USD"):
            self.tell(Adjust(FAUCET, currency, 1_000_000, OPERATOR, self.next_request()))

    def next_request(self) -> Any:
        self.requests += 1
        return request(self.requests)

    def tell(self, command: Any) -> None:
        """Give a command, if it is not refused, and have the guardian watch what comes of it."""
        if refusal(lambda: self.wallets.decide(PLAYER, command)) is None:
            self.watch(self.wallets.act(PLAYER, command).facts)

    def watch(self, facts: tuple[Any, ...]) -> None:
        for fact in facts:
            if isinstance(fact, (Entry, RestrictionSet)):
                problem = self.guardian.watch(fact)
                assert problem is None, problem

    def wager(self, command: Any, currency: str, stake: int) -> None:
        """A wager is refused for the player's own sake exactly if the guardian would refuse it."""
        why = self.guardian.refusal(currency, stake, self.wallets.now_ms)
        refused = refusal(lambda: self.wallets.decide(PLAYER, command))
        if refused is None or refused in BY_THE_PLAYER:
            assert (refused is None) is (why is None), (refused, why)
        self.tell(command)

    @rule(code=CURRENCIES, stake=st.integers(10, 1_000), line=st.integers(100, 9_900))
    def bet(self, code: str, stake: int, line: int) -> None:
        command = roll(self.requests + 1, stake, line, currency=code)
        self.requests += 1
        self.wager(command, code, stake)

    @rule(code=CURRENCIES, stake=st.integers(10, 1_000))
    def hold(self, code: str, stake: int) -> None:
        self.wager(StartMines(stake, code, 3, self.next_request()), code, stake)

    @precondition(lambda self: self.wallets.state(PLAYER).holds)
    @rule(data=st.data(), payout=st.sampled_from([0, 1, 500, 5_000]), release=st.booleans())
    def end(self, data: st.DataObject, payout: int, release: bool) -> None:
        """Whatever the limits: what is open ends."""
        seq = data.draw(st.sampled_from(list(self.wallets.state(PLAYER).holds)))
        command = ReleaseHold(seq, "{}") if release else SettleHold(seq, payout, "{}")
        self.watch(self.wallets.act(PLAYER, command).facts)
        assert seq not in self.wallets.state(PLAYER).holds

    @rule(code=CURRENCIES, amount=AMOUNTS)
    def deposit(self, code: str, amount: int) -> None:
        self.tell(Adjust(DEPOSIT, code, amount, OPERATOR, self.next_request()))

    @rule(code=CURRENCIES, amount=AMOUNTS)
    def withdraw(self, code: str, amount: int) -> None:
        """Always possible, as far as there is money."""
        if self.wallets.available(PLAYER, code) >= amount:
            command = Adjust(WITHDRAWAL, code, amount, OPERATOR, self.next_request())
            self.watch(self.wallets.act(PLAYER, command).facts)

    @rule(
        kind=st.sampled_from(LimitKind),
        period=st.sampled_from(Period),
        code=CURRENCIES,
        amount=st.none() | st.integers(0, 3_000),
    )
    def limit(self, kind: LimitKind, period: Period, code: str, amount: int | None) -> None:
        self.tell(SetLimit(kind, period, code, amount))

    @rule(hours=st.integers(1, 30))
    def cool_off(self, hours: int) -> None:
        self.tell(CoolOff(hours))

    @precondition(lambda self: self.requests > 20)
    @rule(days=st.none() | st.integers(180, 400))
    def exclude(self, days: int | None) -> None:
        assert refusal(lambda: self.wallets.decide(PLAYER, Exclude(days))) in {
            None,
            TOO_MANY_CHANGES,
        }
        self.tell(Exclude(days))

    @rule(hours=st.sampled_from([1, 1, 5, 11, 24, 24, 72, 200, -1, -30]))
    def wait(self, hours: int) -> None:
        """Time goes on, and now and then a clock is set back."""
        self.wallets.set_clock(self.wallets.now_ms + hours * HOUR)

    @rule()
    def take_snapshot(self) -> None:
        state = self.wallets.state(PLAYER)
        self.snapshot = (state.seq, KIND.snapshot(state))

    @invariant()
    def what_is_shown_is_so(self) -> None:
        now_ms = self.wallets.now_ms
        shown = self.wallets.decide(PLAYER, GetLimits()).reply
        for limit in shown.limits:
            slot = (limit.kind.value, limit.period.value, limit.currency)
            assert limit.amount == self.guardian.in_force(*slot, now_ms)
            assert limit.used == self.guardian.used(*slot, now_ms)
            assert limit.resets_at_ms > now_ms
        known = {(one.kind.value, one.period.value, one.currency) for one in shown.limits}
        for slot in self.guardian.changes.keys() - known:
            assert self.guardian.in_force(*slot, now_ms) is None

    @invariant()
    def what_is_read_back_is_what_was_live(self) -> None:
        state, facts = self.wallets.state(PLAYER), self.wallets.facts[PLAYER]
        for seq, stored in {(0, None), self.snapshot}:
            rebuilt = KIND.restore(PLAYER, stored)
            for fact in facts:
                later = fact.seq > seq if type(fact) is Entry else fact.after_seq >= seq
                if later:
                    apply(rebuilt, fact)
            assert counted(rebuilt) == counted(state)


TestPlayer = Player.TestCase
# No deadline: how long a step takes says nothing about whether it is right.
TestPlayer.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
