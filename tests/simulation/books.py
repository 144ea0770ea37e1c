"""What the committed rows add up to, by arithmetic that shares nothing with the rules."""

import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from actors.crash.facts import RoundEntry
from actors.decision import Message
from actors.wallet.facts import Bet, Entry, RestrictionSet, SeedPair, SeedPairIssued, Step
from tests.simulation.limits import Restraint
from tests.simulation.mines import Game
from tests.simulation.rain import Rains
from tests.simulation.rounds import Rounds, is_of_crash, sign

CREATES = {"deposit", "faucet", "withdrawal"}
ARRIVES = {
    *("tip_received", "tip_refused", "tip_returned"),
    *("rain_received", "rain_refused", "rain_returned"),
}
# What carries the money of a row: a family of its own for rain.
CARRIES = {
    "tip_sent": "ReceiveTip",
    "tip_refused": "ReturnTip",
    "rain_sent": "ReceiveRain",
    "rain_refused": "ReturnRain",
}
# What the tables of these worlds allow.
MOST_PROFIT = {"USD": 200_000, "BTC": 10**10}


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


def _words(server_seed: str, client_seed: str, nonce: int) -> list[int]:
    """The sixteen words of blocks 0 and 1, more than any instant game takes."""
    blocks = [
        hmac.digest(server_seed.encode(), f"{client_seed}:{nonce}:{k}".encode(), "sha256")
        for k in (0, 1)
    ]
    return [int.from_bytes(block[at : at + 4]) for block in blocks for at in range(0, 32, 4)]


def _dice(seeds: tuple[str, str, int], stake: int, chosen: Any) -> tuple[Any, int]:
    roll = rolled(*seeds)
    payout = paid(stake, chosen["target"], chosen["direction"], roll)
    return {"roll": roll, "won": payout > 0}, payout


def _limbo(seeds: tuple[str, str, int], stake: int, chosen: Any) -> tuple[Any, int]:
    word, target = _words(*seeds)[0], chosen["target"]
    # The largest multiple of 1 / 100, from 1.00 to 1,000,000.00, not above 0.99 / (word / 2**32).
    result = 10**8 if word * 10**8 <= 99 * 2**32 else max(100, 99 * 2**32 // word)
    won = result >= target
    return {"result": result, "won": won}, stake * target // 100 if won else 0


# Plinko as it was published, in tenths, from the outermost bucket to a middle one.
_PLINKO = {
    "low": {
        8: (56, 21, 11, 10, 5),
        9: (56, 20, 16, 10, 7),
        10: (89, 30, 14, 11, 10, 5),
        11: (84, 30, 19, 13, 10, 7),
        12: (100, 30, 16, 14, 11, 10, 5),
        13: (81, 40, 30, 19, 12, 9, 7),
        14: (71, 40, 19, 14, 13, 11, 10, 5),
        15: (150, 80, 30, 20, 15, 11, 10, 7),
        16: (160, 90, 20, 14, 14, 12, 11, 10, 5),
    },
    "medium": {
        8: (130, 30, 13, 7, 4),
        9: (180, 40, 17, 9, 5),
        10: (220, 50, 20, 14, 6, 4),
        11: (240, 60, 30, 18, 7, 5),
        12: (330, 110, 40, 20, 11, 6, 3),
        13: (430, 130, 60, 30, 13, 7, 4),
        14: (580, 150, 70, 40, 19, 10, 5, 2),
        15: (880, 180, 110, 50, 30, 13, 5, 3),
        16: (1100, 410, 100, 50, 30, 15, 10, 5, 3),
    },
    "high": {
        8: (290, 40, 15, 3, 2),
        9: (430, 70, 20, 6, 2),
        10: (760, 100, 30, 9, 3, 2),
        11: (1200, 140, 52, 14, 4, 2),
        12: (1700, 240, 81, 20, 7, 2, 2),
        13: (2600, 370, 110, 40, 10, 2, 2),
        14: (4200, 560, 180, 50, 19, 3, 2, 2),
        15: (6200, 830, 270, 80, 30, 5, 2, 2),
        16: (10000, 1300, 270, 90, 40, 20, 2, 2, 2),
    },
}


def _plinko(seeds: tuple[str, str, int], stake: int, chosen: Any) -> tuple[Any, int]:
    rows = chosen["rows"]
    bucket = sum(word >= 2**31 for word in _words(*seeds)[:rows])
    tenths = _PLINKO[chosen["risk"]][rows][min(bucket, rows - bucket)]
    return {"bucket": bucket, "multiplier": tenths * 10}, stake * tenths // 10


SETTLED: dict[str, Callable[[tuple[str, str, int], int, Any], tuple[Any, int]]] = {
    "dice": _dice,
    "limbo": _limbo,
    "plinko": _plinko,
}
"""What each game must come to: from the seeds, the stake and the choice to outcome and payout."""


class Books:
    """The auditor's own copy of the ledger. `fail` is called with what does not add up."""

    def __init__(self, fail: Callable[[str], None], rounds: Rounds) -> None:
        self._fail = fail
        self._rounds = rounds
        self.rows: dict[int, list[Entry]] = defaultdict(list)
        self.by_request: dict[tuple[int, UUID], Entry] = {}
        self.pairs: dict[int, list[SeedPair]] = defaultdict(list)
        self.next_nonce: dict[tuple[int, str], int] = {}
        self.revealed: set[str] = set()
        self.games: dict[int, dict[int, Game]] = defaultdict(dict)
        """Every game of mines, by the number of the row that opened it."""
        self.limits = Restraint(fail)
        self._balances: dict[str, dict[int, int]] = defaultdict(dict)
        self._held: dict[str, dict[int, int]] = defaultdict(dict)
        self._created: Counter[str] = Counter()
        self._house: Counter[str] = Counter()
        self._outbox: dict[UUID, Message] = {}
        self._in_flight: dict[UUID, tuple[int, str, int, str]] = {}
        self.rains = Rains(fail)

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

    def held_at(self, wallet_id: int, seq: int) -> dict[str, int]:
        """What was held when row `seq` was the newest: the stakes of the games then open."""
        held = self._rounds.held_at(wallet_id, seq)
        for game in self.open_at(wallet_id, seq):
            held[game.currency] += game.stake
        return held

    def open_at(self, wallet_id: int, seq: int) -> list[Game]:
        """The games that were open when row `seq` was the newest, in the order of their start."""
        return [game for game in self.games[wallet_id].values() if game.open_at(seq)]

    def commit(self, facts: Sequence[Any], messages: Sequence[Message]) -> None:
        """Enter one transaction, and check everything it touches."""
        sent: Counter[tuple[Any, ...]] = Counter()
        for fact in facts:
            if isinstance(fact, SeedPairIssued):
                self._issue(fact)
            elif isinstance(fact, RoundEntry):
                self._rounds.enter(fact, sent)
            elif isinstance(fact, RestrictionSet):
                self.limits.commit(fact)
            else:
                self._enter(fact, sent)
                self.limits.commit(fact)
        for message in messages:
            if message.id in self._outbox:
                self._fail(f"message {message.id} was sent twice")
            self._outbox[message.id] = message
            if is_of_crash(message):
                sent[sign(message)] -= 1
                continue
            leg = _leg(message)
            sent[leg] -= 1
            name, to, _sender, currency, amount = leg
            self._in_flight[message.id] = (to, currency, amount, name)
        self.rains.enter(facts)
        if any(sent.values()):
            self._fail(f"legs without their message, or the other way round: {+sent} {-sent}")
        for currency in {fact.currency for fact in facts if isinstance(fact, Entry)}:
            self._conserve(currency)

    def delete(self, ids: Sequence[UUID]) -> None:
        """Take delivered messages out of the outbox."""
        for message_id in ids:
            message = self._outbox.pop(message_id)
            if is_of_crash(message):
                if not self._rounds.may_forget(message):
                    self._fail(f"{message} was deleted before it had done its work")
            elif message_id in self._in_flight:
                self._fail(f"message {message_id} was deleted before it arrived")

    def _enter(self, row: Entry, sent: Counter[tuple[Any, ...]]) -> None:
        wallet_id, rows = row.wallet_id, self.rows[row.wallet_id]
        before = self._balances[row.currency].get(wallet_id, 0)
        if row.seq != len(rows) + 1:
            self._fail(f"wallet {wallet_id}: row {row.seq} follows row {len(rows)}")
        if row.available_after != before + row.available_delta or row.available_after < 0:
            self._fail(f"wallet {wallet_id}: {before} and {row.available_delta} made {row}")
        held = self._held[row.currency].get(wallet_id, 0)
        if row.held_after != held + row.held_delta or row.held_after < 0:
            self._fail(f"wallet {wallet_id}: {held} held and {row.held_delta} made {row}")
        if (wallet_id, row.request_id) in self.by_request:
            self._fail(f"wallet {wallet_id}: request {row.request_id} counted twice")
        rows.append(row)
        self.by_request[wallet_id, row.request_id] = row
        self._balances[row.currency][wallet_id] = row.available_after
        self._held[row.currency][wallet_id] = row.held_after
        self._account(row, sent)
        if row.held_after != self.held_at(wallet_id, row.seq).get(row.currency, 0):
            self._fail(f"wallet {wallet_id}: open games hold something else than {row}")

    def _account(self, row: Entry, sent: Counter[tuple[Any, ...]]) -> None:
        amount = row.available_delta
        if row.kind in CREATES:
            self._created[row.currency] += amount
        elif row.kind in {"tip_sent", "rain_sent"}:
            sent[CARRIES[row.kind], row.counterparty, row.wallet_id, row.currency, -amount] += 1
        elif row.kind in ARRIVES:
            self._arrive(row, sent)
        elif row.kind == "bet" and row.bet is not None:
            self._house[row.currency] += self._verify(row, row.bet)
        elif row.step is not None and row.step.game == "crash":
            self._at_table(row, sent)
        elif row.kind == "hold" and row.step is not None:
            self._start(row, row.step)
        elif row.kind in {"reveal", "settle"} and row.step is not None:
            self._house[row.currency] += self._go_on(row, row.step)
        else:
            self._fail(f"a row of no kind: {row}")

    def _arrive(self, row: Entry, sent: Counter[tuple[Any, ...]]) -> None:
        refused = row.kind in CARRIES
        to, currency, amount, name = self._in_flight.pop(row.request_id, (0, "", 0, ""))
        expected = 0 if refused else amount
        if (to, currency, expected) != (row.wallet_id, row.currency, row.available_delta):
            self._fail(f"wallet {row.wallet_id}: no message carried {row}")
        if name.endswith("Rain") is not row.kind.startswith("rain"):
            self._fail(f"a {name} became {row}")
        if refused:
            if self._balances[currency].get(row.wallet_id, 0) + amount <= 2**53 - 1:
                self._fail(f"a tip was refused though there was room: {row}")
            sent[CARRIES[row.kind], row.counterparty, row.wallet_id, currency, amount] += 1

    def _verify(self, row: Entry, bet: Bet) -> int:
        """What the house made of a bet, if everything in its row is true."""
        pair = self.pairs[row.wallet_id][-1]
        key = (row.wallet_id, pair.server_seed)
        seeds = (pair.server_seed, pair.client_seed, bet.nonce)
        outcome, payout = SETTLED[bet.game](seeds, bet.stake_minor, json.loads(bet.parameters))
        true = (
            bet.pair == pair.number
            and pair.server_seed not in self.revealed
            and bet.nonce == self.next_nonce[key]
            and json.loads(bet.outcome) == outcome
            and bet.payout_minor == payout
            and row.available_delta == payout - bet.stake_minor
        )
        if not true:
            self._fail(f"{outcome} paying {payout} of {pair} is not {row}")
        self.next_nonce[key] = bet.nonce + 1
        return bet.stake_minor - payout

    def _at_table(self, row: Entry, sent: Counter[tuple[Any, ...]]) -> None:
        if row.kind == "hold":
            if not self._rounds.hold(row, sent):
                self._fail(f"no bet of crash is {row}")
            return
        made = self._rounds.close(row)
        if made is None:
            self._fail(f"no table said that {row}")
        self._house[row.currency] += made or 0

    def _start(self, row: Entry, step: Step) -> None:
        pair = self.pairs[row.wallet_id][-1]
        key = (row.wallet_id, pair.server_seed)
        others = [game.currency for game in self.open_at(row.wallet_id, row.seq)]
        true = (
            (step.game, step.pair, step.nonce) == ("mines", pair.number, self.next_nonce[key])
            and pair.server_seed not in self.revealed
            and (row.available_delta, row.held_delta)
            == (-(step.stake_minor or 0), step.stake_minor)
            and row.currency not in others
        )
        if not true:
            self._fail(f"beside open games in {others}, {pair} opens none by {row}")
        self.next_nonce[key] += 1
        self.games[row.wallet_id][row.seq] = Game(row, pair.server_seed, pair.client_seed)

    def _go_on(self, row: Entry, step: Step) -> int:
        """What the house made of a step, if everything in its row is true."""
        game = self.games[row.wallet_id].get(step.hold or 0)
        if game is None or not game.open_at(row.seq) or game.currency != row.currency:
            self._fail(f"no open game goes on by {row}")
            return 0
        outcome, payout = game.due(row, MOST_PROFIT[row.currency])
        stake = None if payout is None else game.stake
        changed = (payout or 0, -(stake or 0))
        true = (
            json.loads(step.outcome or "") == outcome
            and (step.stake_minor, step.payout_minor) == (stake, payout)
            and (row.available_delta, row.held_delta) == changed
        )
        if not true:
            self._fail(f"{outcome} paying {payout} is not {row}")
        return (stake or 0) - (payout or 0)

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
        if self.open_at(issued.wallet_id, issued.after_seq):
            self._fail(f"{issued} while a game draws from {before}")
        if pair.first_nonce != self.next_nonce.setdefault(key, 0):
            self._fail(f"pair {issued} begins at another nonce than {self.next_nonce[key]}")
        pairs.append(pair)

    def _conserve(self, currency: str) -> None:
        here = sum(self._balances[currency].values())
        held = sum(self._held[currency].values())
        flying = sum(leg[2] for leg in self._in_flight.values() if leg[1] == currency)
        made = self._created[currency] - self._house[currency]
        if here + held + flying != made:
            where = f"{here} in wallets, {held} held and {flying} in flight"
            self._fail(f"{currency}: {where}, but {made} exist")
        unknown = [leg for leg in self._in_flight if leg not in self._outbox]
        if unknown:
            self._fail(f"in flight but not in the outbox: {unknown}")


def _leg(message: Message) -> tuple[Any, ...]:
    body: Any = message.body
    name = type(body).__name__
    sender = body.sender if name.startswith("Receive") else body.receiver
    return (name, message.key, sender, body.currency, body.amount_minor)
