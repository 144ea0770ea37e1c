"""Wallets driven by hand: commands are decided and applied at once, messages when asked."""

import hashlib
from collections.abc import Callable
from typing import Any
from uuid import UUID

from actors.crash.stake import RULES as CRASH_STAKES
from actors.decision import Context, Decision, Known, Message
from actors.dice.rules import DICE
from actors.instant import instant_rule
from actors.limbo.rules import LIMBO
from actors.limits import Limits
from actors.mines.rules import mines_rules
from actors.plinko.rules import PLINKO
from actors.wallet.commands import Adjust
from actors.wallet.facts import DEPOSIT, Entry
from actors.wallet.rules import wallet_kind
from actors.wallet.state import WalletState, apply
from protocol.bounds import MAX_MINOR
from protocol.commands.dice import Direction, RollDice
from protocol.commands.limbo import PlayLimbo
from protocol.commands.mines import CashOutMines, RevealTile, StartMines
from protocol.commands.plinko import DropPlinko
from protocol.errors import ErrorKind, Failure

OPERATOR = 9_000
LIMITS = {
    "USD": Limits(least_stake_minor=10, most_stake_minor=100_000, most_profit_minor=1_000_000),
    # Nothing but the wallet's own bounds.
    "PLAY": Limits(least_stake_minor=1, most_stake_minor=MAX_MINOR, most_profit_minor=MAX_MINOR),
}
KIND = wallet_kind(
    {
        RollDice: instant_rule(DICE, LIMITS),
        PlayLimbo: instant_rule(LIMBO, LIMITS),
        DropPlinko: instant_rule(PLINKO, LIMITS),
        **mines_rules(LIMITS),
        **CRASH_STAKES,
    }
)


def request(number: int) -> UUID:
    """A client's request id: version 4, numbered so that a failing test is readable."""
    return UUID(int=0x4000_8000_0000_0000_0000 | number)


def secrets() -> Callable[[], str]:
    """Server seeds that are the same in every run."""
    made = 0

    def entropy() -> str:
        nonlocal made
        made += 1
        return hashlib.sha256(f"secret {made}".encode()).hexdigest()

    return entropy


class Wallets:
    """Several wallets on one clock. Facts and messages are kept in the order they were made."""

    def __init__(self) -> None:
        self.states: dict[int, WalletState] = {}
        self.facts: dict[int, list[Any]] = {}
        self.sent: list[Message] = []
        self._context = Context(1_800_000_000_000, secrets())

    @property
    def now_ms(self) -> int:
        """The time, which goes on by a millisecond with every act."""
        return self._context.now_ms

    def set_clock(self, now_ms: int) -> None:
        """Let it be another time, later or earlier."""
        self._context.now_ms = now_ms

    def state(self, wallet_id: int) -> WalletState:
        """The wallet's live state."""
        if wallet_id not in self.states:
            self.states[wallet_id] = KIND.restore(wallet_id, None)
            self.facts[wallet_id] = []
        return self.states[wallet_id]

    def decide(self, wallet_id: int, command: Any) -> Decision:
        """What the rule says, with nothing changed. Raises Failure and Known as the rule does."""
        return KIND.rules[type(command)].decide(self.state(wallet_id), command, self._context)

    def act(self, wallet_id: int, command: Any) -> Decision:
        """Decide and apply."""
        decision = self.decide(wallet_id, command)
        for fact in decision.facts:
            apply(self.state(wallet_id), fact)
        self.facts[wallet_id] += decision.facts
        self.sent += decision.messages
        self._context.now_ms += 1
        return decision

    def answer(self, wallet_id: int, command: Any) -> Any:
        """The reply as the runtime gives it: decided, or replayed from the committed fact."""
        try:
            return self.act(wallet_id, command).reply
        except Known as known:
            otherwise = known.otherwise
        made = self._find(wallet_id, command.request_id)
        if made is None:
            assert otherwise is not None, "a wallet knows an id that no entry has"
            raise otherwise
        rule = KIND.rules[type(command)]
        assert rule.replay is not None
        return rule.replay(command, made)

    def entry(self, wallet_id: int, request_id: UUID) -> Entry:
        """The committed entry with this request id."""
        made = self._find(wallet_id, request_id)
        assert made is not None, request_id
        return made

    def _find(self, wallet_id: int, request_id: UUID) -> Entry | None:
        made = (entry for entry in self.entries(wallet_id) if entry.request_id == request_id)
        return next(made, None)

    def entries(self, wallet_id: int) -> list[Entry]:
        """The wallet's ledger."""
        return [fact for fact in self.facts.get(wallet_id, ()) if type(fact) is Entry]

    def deliver(self, message: Message) -> Any:
        """Bring a message to its wallet, for the first time or again."""
        assert message.kind == KIND.name
        return self.answer(message.key, message.body)

    def deliver_all(self) -> None:
        """Bring every message, and those that follow from it, once."""
        while self.sent:
            self.deliver(self.sent.pop(0))

    def fund(self, wallet_id: int, amount_minor: int, currency: str = "PLAY") -> None:
        """Put money in; the request id is one that no test uses."""
        number = 1_000_000 + sum(map(len, self.facts.values()))
        self.act(wallet_id, Adjust(DEPOSIT, currency, amount_minor, OPERATOR, request(number)))

    def available(self, wallet_id: int, currency: str = "PLAY") -> int:
        """What is free to use."""
        return self.state(wallet_id).balance(currency).available


def refusal(act: Callable[[], Any]) -> ErrorKind | None:
    """The kind of error that `act` is refused with; None if it is not.

    What is refused unless a row is found for it is refused: no test of this looks for one.
    """
    try:
        act()
    except Failure as failure:
        return failure.kind
    except Known as known:
        if known.otherwise is None:
            raise
        return known.otherwise.kind
    return None


def roll(
    number: int,
    stake: int,
    target: int = 5_050,
    direction: Direction = Direction.OVER,
    currency: str = "PLAY",
) -> RollDice:
    """A bet with request id `number`."""
    return RollDice(stake, currency, target, direction, request(number))


def limbo(number: int, stake: int, target: int = 200, currency: str = "PLAY") -> PlayLimbo:
    """A bet with request id `number`."""
    return PlayLimbo(stake, currency, target, request(number))


def drop(
    number: int, stake: int, rows: int = 8, risk: str = "low", currency: str = "PLAY"
) -> DropPlinko:
    """A bet with request id `number`."""
    return DropPlinko(stake, currency, rows, risk, request(number))


def start(number: int, stake: int, mines: int = 3, currency: str = "PLAY") -> StartMines:
    """A game of mines, opened with request id `number`."""
    return StartMines(stake, currency, mines, request(number))


def pick(number: int, tile: int, currency: str = "PLAY") -> RevealTile:
    """A tile picked with request id `number`."""
    return RevealTile(currency, tile, request(number))


def cash_out(number: int, currency: str = "PLAY") -> CashOutMines:
    """The open game cashed out with request id `number`."""
    return CashOutMines(currency, request(number))
