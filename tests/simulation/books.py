"""What the committed rows add up to, by arithmetic that shares nothing with the rules."""

import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from actors.decision import Message
from actors.wallet.facts import Bet, Entry, SeedPair, SeedPairIssued

CREATES = {"deposit", "faucet", "withdrawal"}
ARRIVES = {"tip_received", "tip_refused", "tip_returned"}


def rolled(server_seed: str, client_seed: str, nonce: int) -> int:
    """The roll in hundredths, computed from the published scheme."""
    digest = hmac.new(
        server_seed.encode(), f"{client_seed}:{nonce}:0".encode(), hashlib.sha256
    ).hexdigest()
    return int(digest[:8], 16) * 10001 // 2**32


def paid(stake: int, target: int, direction: str, roll: int) -> int:
    """What a stake pays on this roll: 99 % of the fair odds, rounded down, or nothing."""
    outcomes = range(target) if direction == "under" else range(target + 1, 10001)
    return stake * 99 * 10001 // (100 * len(outcomes)) if roll in outcomes else 0


class Books:
    """The auditor's own copy of the ledger. `fail` is called with what does not add up."""

    def __init__(self, fail: Callable[[str], None]) -> None:
        self._fail = fail
        self.rows: dict[int, list[Entry]] = defaultdict(list)
        self.by_request: dict[tuple[int, UUID], Entry] = {}
        self.pairs: dict[int, list[SeedPair]] = defaultdict(list)
        self.next_nonce: dict[tuple[int, str], int] = {}
        self.revealed: set[str] = set()
        self._balances: dict[str, dict[int, int]] = defaultdict(dict)
        self._created: Counter[str] = Counter()
        self._house: Counter[str] = Counter()
        self._outbox: dict[UUID, Message] = {}
        self._in_flight: dict[UUID, tuple[int, str, int]] = {}

    @property
    def waiting(self) -> int:
        """How many messages the outbox holds."""
        return len(self._outbox)

    def seq(self, wallet_id: int) -> int:
        """The number of the wallet's newest row."""
        return len(self.rows[wallet_id])

    def balances_at(self, wallet_id: int, seq: int) -> dict[str, int]:
        """The balances as row `seq` left them."""
        return {row.currency: row.available_after for row in self.rows[wallet_id][:seq]}

    def commit(self, facts: Sequence[Any], messages: Sequence[Message]) -> None:
        """Enter one transaction, and check everything it touches."""
        sent: Counter[tuple[Any, ...]] = Counter()
        for fact in facts:
            if isinstance(fact, SeedPairIssued):
                self._issue(fact)
            else:
                self._enter(fact, sent)
        for message in messages:
            leg = _leg(message)
            sent[leg] -= 1
            if message.id in self._outbox:
                self._fail(f"message {message.id} was sent twice")
            self._outbox[message.id] = message
            _name, to, _sender, currency, amount = leg
            self._in_flight[message.id] = (to, currency, amount)
        if any(sent.values()):
            self._fail(f"legs without their message, or the other way round: {+sent} {-sent}")
        for currency in {fact.currency for fact in facts if isinstance(fact, Entry)}:
            self._conserve(currency)

    def delete(self, ids: Sequence[UUID]) -> None:
        """Take delivered messages out of the outbox."""
        for message_id in ids:
            del self._outbox[message_id]
            if message_id in self._in_flight:
                self._fail(f"message {message_id} was deleted before it arrived")

    def _enter(self, row: Entry, sent: Counter[tuple[Any, ...]]) -> None:
        wallet_id, rows = row.wallet_id, self.rows[row.wallet_id]
        before = self._balances[row.currency].get(wallet_id, 0)
        if row.seq != len(rows) + 1:
            self._fail(f"wallet {wallet_id}: row {row.seq} follows row {len(rows)}")
        if row.available_after != before + row.available_delta or row.available_after < 0:
            self._fail(f"wallet {wallet_id}: {before} and {row.available_delta} made {row}")
        if row.held_delta or row.held_after:
            self._fail(f"wallet {wallet_id}: nothing is ever held here, but in {row}")
        if (wallet_id, row.request_id) in self.by_request:
            self._fail(f"wallet {wallet_id}: request {row.request_id} counted twice")
        rows.append(row)
        self.by_request[wallet_id, row.request_id] = row
        self._balances[row.currency][wallet_id] = row.available_after
        self._account(row, sent)

    def _account(self, row: Entry, sent: Counter[tuple[Any, ...]]) -> None:
        amount = row.available_delta
        if row.kind in CREATES:
            self._created[row.currency] += amount
        elif row.kind == "tip_sent":
            sent["ReceiveTip", row.counterparty, row.wallet_id, row.currency, -amount] += 1
        elif row.kind in ARRIVES:
            self._arrive(row, sent)
        elif row.kind == "bet" and row.bet is not None:
            self._house[row.currency] += self._verify(row, row.bet)
        else:
            self._fail(f"a row of no kind: {row}")

    def _arrive(self, row: Entry, sent: Counter[tuple[Any, ...]]) -> None:
        to, currency, amount = self._in_flight.pop(row.request_id, (0, "", 0))
        expected = 0 if row.kind == "tip_refused" else amount
        if (to, currency, expected) != (row.wallet_id, row.currency, row.available_delta):
            self._fail(f"wallet {row.wallet_id}: no message carried {row}")
        if row.kind == "tip_refused":
            if self._balances[currency].get(row.wallet_id, 0) + amount <= 2**53 - 1:
                self._fail(f"a tip was refused though there was room: {row}")
            sent["ReturnTip", row.counterparty, row.wallet_id, currency, amount] += 1

    def _verify(self, row: Entry, bet: Bet) -> int:
        """What the house made of a bet, if everything in its row is true."""
        pair = self.pairs[row.wallet_id][-1]
        key = (row.wallet_id, pair.server_seed)
        chosen, outcome = json.loads(bet.parameters), json.loads(bet.outcome)
        roll = rolled(pair.server_seed, pair.client_seed, bet.nonce)
        payout = paid(bet.stake_minor, chosen["target"], chosen["direction"], roll)
        true = (
            bet.game == "dice"
            and bet.pair == pair.number
            and pair.server_seed not in self.revealed
            and bet.nonce == self.next_nonce[key]
            and outcome == {"roll": roll, "won": payout > 0}
            and bet.payout_minor == payout
            and row.available_delta == payout - bet.stake_minor
        )
        if not true:
            self._fail(f"roll {roll} paying {payout} of {pair} is not {row}")
        self.next_nonce[key] = bet.nonce + 1
        return bet.stake_minor - payout

    def _issue(self, issued: SeedPairIssued) -> None:
        pair, pairs = issued.pair, self.pairs[issued.wallet_id]
        key = (issued.wallet_id, pair.server_seed)
        before = pairs[-1] if pairs else None
        keeps_server = before is not None and before.server_seed == pair.server_seed
        server_number = (before.server_number if before else 0) + (not keeps_server)
        fits = (
            pair.number == len(pairs) + 1
            and pair.server_number == server_number
            and issued.after_seq == self.seq(issued.wallet_id)
            and hashlib.sha256(pair.server_seed.encode()).hexdigest() == pair.server_seed_hash
            and (keeps_server or key not in self.next_nonce)
        )
        if not fits:
            self._fail(f"pair {issued} does not follow {before}")
        if pair.first_nonce != self.next_nonce.setdefault(key, 0):
            self._fail(f"pair {issued} begins at another nonce than {self.next_nonce[key]}")
        pairs.append(pair)

    def _conserve(self, currency: str) -> None:
        held = sum(self._balances[currency].values())
        flying = sum(amount for _to, code, amount in self._in_flight.values() if code == currency)
        made = self._created[currency] - self._house[currency]
        if held + flying != made:
            self._fail(f"{currency}: {held} in wallets and {flying} in flight, but {made} exist")
        unknown = [leg for leg in self._in_flight if leg not in self._outbox]
        if unknown:
            self._fail(f"in flight but not in the outbox: {unknown}")


def _leg(message: Message) -> tuple[Any, ...]:
    body: Any = message.body
    name = type(body).__name__
    sender = body.sender if name == "ReceiveTip" else body.receiver
    return (name, message.key, sender, body.currency, body.amount_minor)
