"""Any sequence of commands over several wallets: no money appears, vanishes or moves twice."""

from bisect import bisect_right
from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.decision import Message
from actors.wallet.commands import Adjust, SendTip, StartRain
from actors.wallet.facts import (
    BET,
    DEPOSIT,
    FAUCET,
    HOLD,
    RAIN_RECEIVED,
    RAIN_REFUSED,
    RAIN_RETURNED,
    RAIN_SENT,
    TIP_RECEIVED,
    TIP_REFUSED,
    TIP_RETURNED,
    TIP_SENT,
    WITHDRAWAL,
    Entry,
    SeedPairIssued,
)
from actors.wallet.state import Hold, WalletState, apply
from protocol.bounds import MAX_MINOR, MAX_RECENT_REQUESTS
from protocol.commands.dice import Direction, RollDice
from protocol.commands.limbo import PlayLimbo
from protocol.commands.mines import CashOutMines, RevealTile, StartMines
from protocol.commands.plinko import DropPlinko
from protocol.commands.seed import GetSeed, RotateSeed, SetClientSeed
from protocol.commands.wallet import GetWallet
from protocol.errors import REQUEST_MISMATCH
from tests.support.wallets import KIND, OPERATOR, Wallets, refusal, request

PLAYERS = st.integers(1, 3)
CURRENCIES = st.sampled_from(["PLAY", "PLAY", "USD"])
TRANSFERS = {
    TIP_SENT,
    TIP_RECEIVED,
    TIP_REFUSED,
    TIP_RETURNED,
    RAIN_SENT,
    RAIN_RECEIVED,
    RAIN_REFUSED,
    RAIN_RETURNED,
}
# Small amounts are what people play with; huge ones fill wallets to the brim.
AMOUNTS = st.integers(1, 1_000) | st.integers(MAX_MINOR - 1_000, MAX_MINOR)


def state_of(state: WalletState) -> tuple[Any, ...]:
    """All that a wallet is, to compare."""
    balances = {code: (b.available, b.held) for code, b in state.balances.items()}
    holds = {seq: repr(hold) for seq, hold in state.holds.items()}
    pair = (state.pair, state.pair_number, state.nonce)
    recent = list(state.recent)[-MAX_RECENT_REQUESTS:]
    return (state.wallet_id, state.seq, balances, holds, pair, recent)


class Ledger(RuleBasedStateMachine):
    """Three wallets and the messages between them. What is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.wallets = Wallets()
        self.requests = 0
        self.answered: list[tuple[int, Any, Any]] = []
        self.snapshots: dict[int, tuple[int, bytes]] = {}
        self.waiting: dict[Any, Message] = {}
        self.delivered: list[Message] = []

    @initialize()
    def fund(self) -> None:
        """Two of them can play at once; the third has never had anything."""
        for who in (1, 2):
            self.adjust(who, DEPOSIT, "PLAY", 10_000)

    def tell(self, wallet_id: int, command: Any) -> None:
        """Give a wallet a command, as new, and check that deciding alone changes nothing."""
        state = self.wallets.state(wallet_id)
        before, facts = state_of(state), len(self.wallets.facts[wallet_id])
        refused = refusal(lambda: self.wallets.decide(wallet_id, command))
        assert state_of(state) == before
        if refused is not None:
            return
        reply = self.wallets.act(wallet_id, command).reply
        assert len(self.wallets.facts[wallet_id]) >= facts
        if hasattr(command, "request_id"):
            self.answered.append((wallet_id, command, reply))
        self.collect()

    def collect(self) -> None:
        """Take what was sent; it arrives when the machine feels like it."""
        while self.wallets.sent:
            message = self.wallets.sent.pop()
            assert message.id not in self.waiting
            self.waiting[message.id] = message

    def next_request(self) -> Any:
        self.requests += 1
        return request(self.requests)

    @rule(
        who=PLAYERS,
        kind=st.sampled_from([DEPOSIT, WITHDRAWAL, FAUCET]),
        code=CURRENCIES,
        amount=AMOUNTS,
    )
    def adjust(self, who: int, kind: str, code: str, amount: int) -> None:
        self.tell(who, Adjust(kind, code, amount, OPERATOR, self.next_request()))

    @rule(who=PLAYERS, code=CURRENCIES, room=st.integers(0, 10))
    def fill(self, who: int, code: str, room: int) -> None:
        """Leave so little room that tips come back."""
        amount = MAX_MINOR - room - self.wallets.available(who, code)
        if amount > 0:
            self.tell(who, Adjust(DEPOSIT, code, amount, OPERATOR, self.next_request()))

    @rule(who=PLAYERS, to=PLAYERS, code=CURRENCIES, amount=AMOUNTS)
    def tip(self, who: int, to: int, code: str, amount: int) -> None:
        self.tell(who, SendTip(to, code, amount, self.next_request()))

    @rule(who=PLAYERS, to=st.sets(PLAYERS, min_size=1), code=CURRENCIES, amount=AMOUNTS)
    def rain(self, who: int, to: set[int], code: str, amount: int) -> None:
        others = tuple(sorted(to - {who}))
        if not others:
            return
        before = self.wallets.available(who, code)
        rows = len(self.wallets.entries(who))
        self.tell(who, StartRain(others, "feed", 5, "somebody", code, amount, self.next_request()))
        taken = before - self.wallets.available(who, code)
        # All of it or nothing, the same for each.
        assert taken in (0, amount - amount % len(others))
        fell = self.wallets.entries(who)[rows:]
        assert len(fell) == (len(others) if taken else 0)
        assert len({row.available_delta for row in fell}) <= 1

    @rule(
        who=PLAYERS,
        code=CURRENCIES,
        stake=AMOUNTS,
        line=st.integers(0, 10_000),
        direction=st.sampled_from(Direction),
    )
    def roll(self, who: int, code: str, stake: int, line: int, direction: Direction) -> None:
        self.tell(who, RollDice(stake, code, line, direction, self.next_request()))

    @rule(
        who=PLAYERS,
        code=CURRENCIES,
        stake=AMOUNTS,
        reach=st.integers(100, 300) | st.integers(0, 10**8 + 1),
    )
    def limbo(self, who: int, code: str, stake: int, reach: int) -> None:
        self.tell(who, PlayLimbo(stake, code, reach, self.next_request()))

    @rule(
        who=PLAYERS,
        code=CURRENCIES,
        stake=AMOUNTS,
        rows=st.integers(7, 17),
        risk=st.sampled_from(["low", "medium", "high", "none"]),
    )
    def drop(self, who: int, code: str, stake: int, rows: int, risk: str) -> None:
        self.tell(who, DropPlinko(stake, code, rows, risk, self.next_request()))

    @rule(who=PLAYERS, code=CURRENCIES, stake=AMOUNTS, mines=st.integers(1, 24))
    def start_mines(self, who: int, code: str, stake: int, mines: int) -> None:
        self.tell(who, StartMines(stake, code, mines, self.next_request()))

    @precondition(lambda self: self.games())
    @rule(data=st.data(), tile=st.integers(0, 24))
    def pick(self, data: st.DataObject, tile: int) -> None:
        who, hold = data.draw(st.sampled_from(self.games()))
        self.tell(who, RevealTile(hold.currency, tile, self.next_request()))

    @precondition(lambda self: self.games())
    @rule(data=st.data())
    def cash_out(self, data: st.DataObject) -> None:
        who, hold = data.draw(st.sampled_from(self.games()))
        self.tell(who, CashOutMines(hold.currency, self.next_request()))

    def games(self) -> list[tuple[int, Hold]]:
        """Who has which games open."""
        states = self.wallets.states.items()
        return [(who, hold) for who, state in states for hold in state.holds.values()]

    @rule(
        who=PLAYERS,
        command=st.sampled_from(
            [GetSeed(), GetWallet(), RotateSeed(), RotateSeed("new"), SetClientSeed("other")]
        ),
    )
    def seeds(self, who: int, command: Any) -> None:
        self.tell(who, command)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(list(self.waiting.values())))
        if refusal(lambda: self.wallets.deliver(message)) is not None:
            return  # a full wallet: it stays in the outbox
        del self.waiting[message.id]
        self.delivered.append(message)
        self.collect()

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        message = data.draw(st.sampled_from(self.delivered))
        rows = len(self.wallets.facts[message.key])

        assert self.wallets.deliver(message) is None
        assert len(self.wallets.facts[message.key]) == rows
        assert not self.wallets.sent

    @precondition(lambda self: self.answered)
    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        wallet_id, command, reply = data.draw(st.sampled_from(self.answered))
        before = state_of(self.wallets.state(wallet_id))

        assert self.wallets.answer(wallet_id, command) == reply
        assert state_of(self.wallets.state(wallet_id)) == before
        assert not self.wallets.sent

    @precondition(lambda self: self.answered)
    @rule(data=st.data(), amount=st.integers(1, 1_000))
    def ask_for_something_else(self, data: st.DataObject, amount: int) -> None:
        wallet_id, command, _reply = data.draw(st.sampled_from(self.answered))
        other = SendTip(wallet_id + 1, "BTC", amount, command.request_id)
        before = state_of(self.wallets.state(wallet_id))
        assert refusal(lambda: self.wallets.answer(wallet_id, other)) is REQUEST_MISMATCH
        assert state_of(self.wallets.state(wallet_id)) == before

    @rule(who=PLAYERS)
    def take_snapshot(self, who: int) -> None:
        state = self.wallets.state(who)
        self.snapshots[who] = (state.seq, KIND.snapshot(state))

    @invariant()
    def nothing_is_negative_or_too_large(self) -> None:
        for state in self.wallets.states.values():
            for balance in state.balances.values():
                assert 0 <= balance.available <= MAX_MINOR
                assert 0 <= balance.held <= MAX_MINOR

    @invariant()
    def open_games_hold_what_is_held(self) -> None:
        for state in self.wallets.states.values():
            held: Counter[str] = Counter()
            for hold in state.holds.values():
                held[hold.currency] += hold.stake_minor
            assert +held == +Counter({c: b.held for c, b in state.balances.items()})
            assert all(hold.pair == state.pair_number for hold in state.holds.values())

    @invariant()
    def money_is_conserved(self) -> None:
        """Wallets and messages under way hold what came in, less what the house has made."""
        exists: Counter[str] = Counter()
        for state in self.wallets.states.values():
            for code, balance in state.balances.items():
                exists[code] += balance.available + balance.held
        for message in self.waiting.values():
            body: Any = message.body
            exists[body.currency] += body.amount_minor
        expected: Counter[str] = Counter()
        for entry in self.all_entries():
            if entry.kind in {DEPOSIT, WITHDRAWAL, FAUCET}:
                expected[entry.currency] += entry.available_delta
            elif entry.bet is not None:
                expected[entry.currency] += entry.bet.payout_minor - entry.bet.stake_minor
            elif entry.step is not None and entry.step.payout_minor is not None:
                assert entry.step.stake_minor is not None
                expected[entry.currency] += entry.step.payout_minor - entry.step.stake_minor
        assert {k: v for k, v in exists.items() if v} == {k: v for k, v in expected.items() if v}

    @invariant()
    def rows_continue_their_predecessors(self) -> None:
        for wallet_id in self.wallets.states:
            after: Counter[str] = Counter()
            held: Counter[str] = Counter()
            for seq, entry in enumerate(self.wallets.entries(wallet_id), start=1):
                after[entry.currency] += entry.available_delta
                held[entry.currency] += entry.held_delta
                assert (entry.seq, entry.available_after) == (seq, after[entry.currency])
                assert entry.held_after == held[entry.currency]
                assert (entry.kind == BET) is (entry.bet is not None)
                assert (entry.kind in TRANSFERS) is (entry.counterparty in {1, 2, 3})

    @invariant()
    def no_server_seed_draws_a_nonce_twice_or_skips_one(self) -> None:
        for facts in self.wallets.facts.values():
            drawn: dict[str, int] = {}
            seeds: dict[int, str] = {}
            for fact in facts:
                if type(fact) is SeedPairIssued:
                    server_seed = seeds[fact.pair.number] = fact.pair.server_seed
                    assert fact.pair.first_nonce == drawn.setdefault(server_seed, 0)
                elif fact.bet is not None or fact.kind == HOLD:
                    play = fact.bet or fact.step
                    assert play.pair == max(seeds)
                    assert play.nonce == drawn[seeds[play.pair]]
                    drawn[seeds[play.pair]] += 1

    @invariant()
    def facts_alone_make_the_state(self) -> None:
        for wallet_id, state in self.wallets.states.items():
            rebuilt = KIND.restore(wallet_id, None)
            for fact in self.wallets.facts[wallet_id]:
                apply(rebuilt, fact)
            assert state_of(rebuilt) == state_of(state)

    @invariant()
    def a_snapshot_and_later_rows_make_the_state(self) -> None:
        """Read as storage does: later entries in order, and of the pairs only the newest."""
        for wallet_id, state in self.wallets.states.items():
            for seq, stored in {(0, None), self.snapshots.get(wallet_id, (0, None))}:
                rebuilt = self.read_back(wallet_id, seq, stored)
                assert state_of(rebuilt) == state_of(state)

    def read_back(self, wallet_id: int, seq: int, stored: bytes | None) -> WalletState:
        entries = self.wallets.entries(wallet_id)
        pairs = [f for f in self.wallets.facts[wallet_id] if type(f) is SeedPairIssued]
        later: list[Any] = entries[seq:]
        for pair in pairs[-1:]:
            later.insert(bisect_right(later, pair.after_seq, key=lambda entry: entry.seq), pair)
        state: WalletState = KIND.restore(wallet_id, stored)
        for fact in later:
            apply(state, fact)
        return state

    def all_entries(self) -> list[Entry]:
        return [entry for who in self.wallets.states for entry in self.wallets.entries(who)]

    def teardown(self) -> None:
        """Make room, deliver the rest, and the books still balance."""
        while self.waiting:
            self.empty_wallets()
            message_id, message = next(iter(self.waiting.items()))
            assert self.wallets.deliver(message) is None
            del self.waiting[message_id]
            self.collect()
        self.money_is_conserved()

    def empty_wallets(self) -> None:
        for wallet_id, state in list(self.wallets.states.items()):
            for code, balance in list(state.balances.items()):
                if balance.available:
                    everything = balance.available
                    number = self.next_request()
                    self.tell(wallet_id, Adjust(WITHDRAWAL, code, everything, OPERATOR, number))


TestLedger = Ledger.TestCase
# No deadline: how long a step takes says nothing about whether it is right.
TestLedger.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
