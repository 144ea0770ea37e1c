"""A crash table driven by hand: commands are decided and applied at once, at a time of choice."""

import hashlib
from collections.abc import Callable, Container
from itertools import count
from typing import Any

import msgspec

from actors.crash import odds
from actors.crash.chain import Chain, before
from actors.crash.commands import AskBet, CashOut, Join, Leave, ReadTable, Wake
from actors.crash.facts import ChainsRead, RoundEntry
from actors.crash.rules import crash_kind
from actors.crash.state import Bet, Round, TableState
from actors.crash.table import Table
from actors.decision import Context, Decision, Message
from actors.kind import Kind
from actors.runtime.alarms import Alarm
from protocol.errors import ErrorKind, Failure

T0 = 1_800_000_000_000
TABLE = Table(
    number=1,
    name="Felt",
    currency="PLAY",
    least_stake=10,
    most_stake=1_000_000,
    bankroll=100_000_000,
    betting_ms=5_000,
    pause_ms=3_000,
)


def chain(
    chain_id: int = 1, length: int = 20, busts: Callable[[int], bool] = lambda bust: bust > 300
) -> Chain:
    """A chain whose first round busts as wanted; the public seed is looked for until it does."""
    last = hashlib.sha256(f"last hash of {chain_id}".encode()).hexdigest()
    first = last
    for _ in range(length - 1):
        first = before(first)
    seeds = (f"seed-{number}" for number in count())
    seed = next(seed for seed in seeds if busts(odds.bust(first, seed)))
    return Chain(chain_id, length, seed, {length: last})


class Felt:
    """One table, all its rows, and what it sent."""

    def __init__(
        self,
        *chains: Chain,
        table: Table = TABLE,
        busts: Callable[[int], bool] = lambda bust: bust > 300,
        paused: Container[str] = (),
    ) -> None:
        self.table = table
        self.kind: Kind = crash_kind({table.number: table}, paused)
        self.chains = ChainsRead(list(chains) or [chain(busts=busts)])
        self.rows: list[RoundEntry] = []
        self.sent: list[Message] = []
        self.told: list[Any] = []
        self.alarm_ms: int | None = None
        self.now_ms = T0
        self.state: TableState = self.kind.restore(table.number, None)
        self.kind.apply(self.state, self.chains)

    def do(self, command: Any, at_ms: int | None = None) -> Any:
        """Decide and apply; the reply, which is a Failure where it is refused."""
        return self.decide(command, at_ms).reply

    def decide(self, command: Any, at_ms: int | None = None) -> Decision:
        """Decide and apply, at this time or at the last one."""
        self.now_ms = self.now_ms if at_ms is None else at_ms
        context = Context(self.now_ms, lambda: "")
        decision = self.kind.rules[type(command)].decide(self.state, command, context)
        for fact in decision.facts:
            self.kind.apply(self.state, fact)
        self.rows += decision.facts
        self.sent += decision.messages
        self.told += decision.pushes
        self.alarm_ms = decision.alarm_ms
        return decision

    def restart(self) -> None:
        """Let the table go as a process that dies does, and read it back from its rows."""
        state = self.kind.restore(self.table.number, None)
        self.kind.apply(state, self.chains)
        for row in self.rows:
            self.kind.apply(state, row)
        self.kind.read_back(state)
        self.state = state

    @property
    def round(self) -> Round:
        """The newest round."""
        assert self.state.round is not None
        return self.state.round

    @property
    def started_ms(self) -> int:
        """When the newest round began to rise."""
        assert self.round.started_at_ms is not None
        return self.round.started_at_ms

    @property
    def busts_ms(self) -> int:
        """When the newest round busts."""
        return self.started_ms + self.round.bust_ms

    def open(self) -> Round:
        """Open the first round, or the next one."""
        self.do(Wake())
        assert self.round.betting
        return self.round

    def start(self) -> None:
        """Start the open round when it is due."""
        self.do(Alarm(), self.round.opened_at_ms + self.table.betting_ms)
        assert self.round.started_at_ms == self.now_ms

    def at(self, multiplier: int) -> int:
        """The first millisecond at which the newest round has this multiplier."""
        return self.started_ms + odds.reached_at(multiplier)

    def join(self, wallet_id: int, stake: int = 100, auto: int | None = None, **fields: Any) -> Any:
        """A bet whose stake is held in row `wallet_id * 10` asks to be taken."""
        hold, number = fields.get("hold", wallet_id * 10), fields.get("number", self.state.rounds)
        name = f"player{wallet_id}"
        return self.do(
            Join(self.table.number, number, wallet_id, hold, name, stake, "PLAY", auto),
            fields.get("at_ms"),
        )

    def ask(self, wallet_id: int, stake: int = 100, auto: int | None = None, **fields: Any) -> Any:
        """Ask whether a bet would be taken."""
        number = fields.get("number", self.state.rounds)
        currency = fields.get("currency", "PLAY")
        return self.do(AskBet(number, wallet_id, stake, currency, auto), fields.get("at_ms"))

    def cash_out(self, wallet_id: int, at_ms: int | None = None, number: int | None = None) -> Any:
        """Cash a wallet's bet out."""
        return self.do(CashOut(number or self.state.rounds, wallet_id), at_ms)

    def leave(self, wallet_id: int, at_ms: int | None = None, number: int | None = None) -> Any:
        """Take a wallet's bet back."""
        return self.do(Leave(number or self.state.rounds, wallet_id), at_ms)

    def shown(self, wallet_id: int = 1, at_ms: int | None = None) -> Any:
        """What a wallet sees."""
        return self.do(ReadTable(wallet_id), at_ms)

    def kinds(self) -> list[str]:
        """The kinds of all rows, in order."""
        return [row.kind for row in self.rows]

    def events(self, *names: str) -> list[Any]:
        """What the room was told under these names, in order."""
        return [push.data for push in self.told if push.event in names]

    def ends_by_hold(self) -> dict[tuple[int | None, int | None], RoundEntry]:
        """The row that ended each bet, by wallet and hold. None ends twice."""
        over = {"returned", "left", "cashed_out", "lost", "refunded"}
        ends = [row for row in self.rows if row.kind in over]
        by_hold = {(row.wallet_id, row.hold): row for row in ends}
        assert len(by_hold) == len(ends), "a bet ended twice"
        return by_hold

    def ends(self) -> dict[int | None, tuple[str, int | None, int | None, str | None]]:
        """How each wallet's newest bet ended: kind, multiplier, payout and reason."""
        return {
            row.wallet_id: (row.kind, row.multiplier, row.payout_minor, row.reason)
            for row in self.ends_by_hold().values()
        }

    def bet(self, wallet_id: int) -> Bet:
        """A wallet's bet in the newest round."""
        return self.round.bets[wallet_id]


def bodies(messages: list[Message]) -> list[dict[str, Any]]:
    """What messages tell wallets, by wallet, hold and payout; a release has none."""
    told = []
    for message in messages:
        fields = msgspec.to_builtins(message.body)
        told.append(
            {"wallet": message.key, **fields, "outcome": msgspec.json.decode(fields["outcome"])}
        )
    return told


def code(answer: Any) -> str | None:
    """The error's code if an answer is a refusal."""
    kind: ErrorKind | None = answer.kind if isinstance(answer, Failure) else None
    return kind.code if kind else None
