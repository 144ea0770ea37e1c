"""What the rows of crash tables must be, by arithmetic that shares nothing with their rules."""

import asyncio
import hashlib
import hmac
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any

from actors.crash.chain import Chain
from actors.crash.facts import RoundEntry
from actors.crash.table import Table
from actors.decision import Announcement, Message
from actors.wallet.facts import Entry
from protocol.ids import message_id, settlement_id, table_message_id

# What happens to a round only while the table lives on that opened it.
GOES_ON = {"joined", "left", "started", "crashed"}
BET_ENDS = {"left", "cashed_out", "lost", "refunded"}
Hold = tuple[int, int]
"""A wallet and the number of the entry that holds the stake."""


@cache
def multiplier_at(elapsed_ms: int) -> int:
    """The multiplier in hundredths so long after the start, by decimals."""
    power = Decimal(elapsed_ms) * Decimal("0.00006")
    return int(100 * power.exp()) if elapsed_ms > 0 else 100


def bust_of(round_hash: str, public_seed: str, edge: int, most: int) -> int:
    """Where a round busts, by the published formula."""
    digits = hmac.new(round_hash.encode(), public_seed.encode(), hashlib.sha256).hexdigest()
    drawn = int(digits[:13], 16)
    return min(most, max(100, (100 - edge) * 2**52 // (2**52 - drawn)))


class Bet:
    """A bet that joined."""

    def __init__(self, joined: RoundEntry, table: Table) -> None:
        assert joined.stake_minor is not None
        self.stake = joined.stake_minor
        self.auto = joined.auto_cashout
        self.hold = (joined.wallet_id, joined.hold)
        profit = table.bankroll * table.bet_share_percent // 100
        bound = 100 + profit * 100 // self.stake
        self.bound = min(bound, table.most_multiplier)
        self.target = self.bound if self.auto is None else min(self.auto, self.bound)
        self.noted = joined.target


class Round:
    """One round as its rows tell it."""

    def __init__(self, opened: RoundEntry, bust: int, writer: int) -> None:
        self.number = opened.round
        self.writer = writer
        self.bust = bust
        self.opened_ms = opened.at_ms
        self.started_ms: int | None = None
        self.ended: RoundEntry | None = None
        self.forced: int | None = None
        self.open: dict[int, Bet] = {}
        self.bets = self.staked = self.paid = self.won = 0


class Rounds:
    """The auditor of all tables, and of the holds that wallets have for them."""

    def __init__(
        self, tables: dict[int, Table], chains: dict[int, list[Chain]], fail: Callable[[str], None]
    ) -> None:
        self._tables = tables
        self._chains = chains
        self._fail = fail
        self.writer = 0
        """The connection that commits what is entered next."""
        self.rows: dict[int, list[RoundEntry]] = defaultdict(list)
        self.rounds: dict[int, dict[int, Round]] = defaultdict(dict)
        self._opened = asyncio.Event()
        self._places: dict[int, tuple[int, int]] = {}
        self._hashes: dict[int, str] = {}
        self.holds: dict[Hold, Entry] = {}
        """What wallets hold, or held, for rounds."""
        self.closed: dict[Hold, int] = {}
        """Holds that have ended, and the row of the wallet that ended each."""
        self.joined: dict[Hold, RoundEntry] = {}
        self.ends: dict[Hold, RoundEntry] = {}
        """How a bet ended at its table, a returned one included."""

    def newest(self) -> dict[int, int]:
        """The number of each table's newest round."""
        return {table: max(rounds) for table, rounds in self.rounds.items() if rounds}

    async def betting(self, patience_s: float) -> None:
        """Wait until some table takes bets; no longer than `patience_s`."""
        self._opened.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._opened.wait()

    def enter(self, row: RoundEntry, sent: Counter[Any]) -> None:
        """Check the next row of a table; `sent` gets the messages that it must send."""
        rows = self.rows[row.table]
        if row.seq != len(rows) + 1:
            self._fail(f"table {row.table}: row {row.seq} follows row {len(rows)}")
        rows.append(row)
        if not self._fits(row):
            current = self._newest_round(row.table)
            self._fail(f"{row} does not fit {vars(current) if current else None}")
        if row.kind in BET_ENDS or row.kind == "returned":
            sent[table_message_id(row.table, row.seq), row.wallet_id, *_ending(row)] += 1

    def _newest_round(self, table: int) -> Round | None:
        rounds = self.rounds[table]
        return rounds[max(rounds)] if rounds else None

    def _fits(self, row: RoundEntry) -> bool:
        current = self._newest_round(row.table)
        if row.kind == "opened":
            return self._opens(row, current)
        if row.kind == "returned":
            return self._returns(row, current)
        if current is None or row.round != current.number or self._is_taken_over(row, current):
            return False
        if row.kind == "started":
            due_ms = current.opened_ms + self._tables[row.table].betting_ms
            fits = self._is_betting(current) and row.at_ms >= due_ms
            current.started_ms = row.at_ms
            return fits
        if row.kind == "forced":
            first, current.forced = current.forced is None, row.multiplier
            return first and _is_running(current) and (row.multiplier or 0) <= current.bust
        if row.kind in {"crashed", "voided"}:
            return self._ends_round(row, current)
        if row.kind == "joined":
            return self._joins(row, current)
        return row.kind in BET_ENDS and self._ends_bet(row, current)

    def _opens(self, row: RoundEntry, before: Round | None) -> bool:
        table = self._tables[row.table]
        if before is None:
            follows = row.round == 1
        else:
            over = before.ended is not None and not before.open
            rested = over and row.at_ms >= before.ended.at_ms + table.pause_ms  # type: ignore[union-attr] # over says so
            follows = rested and row.round == before.number + 1
        place = (row.chain_id or 0, row.position or 0)
        fits = follows and place == self._next_place(row.table)
        self._places[row.table] = place
        chain = next(one for one in self._chains[row.table] if one.chain_id == row.chain_id)
        round_hash = _hash_at(chain, row.position or 0)
        bust = bust_of(round_hash, chain.public_seed, table.edge_percent, table.most_multiplier)
        self._hashes[row.table] = round_hash
        self._opened.set()
        self.rounds[row.table][row.round] = Round(row, bust, self.writer)
        return fits

    def _next_place(self, table: int) -> tuple[int, int]:
        chains = self._chains[table]
        if table not in self._places:
            return chains[0].chain_id, 1
        chain_id, position = self._places[table]
        at = next(n for n, chain in enumerate(chains) if chain.chain_id == chain_id)
        if position < chains[at].length:
            return chain_id, position + 1
        return chains[at + 1].chain_id, 1

    def _is_taken_over(self, row: RoundEntry, current: Round) -> bool:
        """Whether a round goes on at another's hands, who should have voided it."""
        decided = current.forced is not None
        return row.kind in GOES_ON and current.writer != self.writer and not decided

    def _is_betting(self, current: Round) -> bool:
        return current.started_ms is None and current.ended is None

    def _takes(self, row: RoundEntry, current: Round | None) -> bool:
        """Whether a bet could join now."""
        if current is None or row.round != current.number or not self._is_betting(current):
            return False
        table = self._tables[row.table]
        free = len(current.open) < table.max_bets and row.wallet_id not in current.open
        return free and row.at_ms < current.opened_ms + table.betting_ms

    def _joins(self, row: RoundEntry, current: Round) -> bool:
        fits = self._takes(row, current) and self._is_new(row)
        assert row.wallet_id is not None
        bet = current.open[row.wallet_id] = Bet(row, self._tables[row.table])
        self.joined[_hold(row)] = row
        fits = fits and bet.target == bet.noted
        current.bets += 1
        current.staked += bet.stake
        return fits

    def _is_new(self, row: RoundEntry) -> bool:
        """Whether a wallet holds just this, and no table has said anything of it."""
        hold = _hold(row)
        entry = self.holds.get(hold)
        if entry is None or entry.step is None or hold in self.joined or hold in self.ends:
            return False
        chosen = json.loads(entry.step.parameters or "")
        given = {"round_id": f"{row.table}-{row.round}", "auto_cashout": row.auto_cashout}
        return entry.step.stake_minor == row.stake_minor and (
            chosen == given if row.kind == "joined" else chosen["round_id"] == given["round_id"]
        )

    def _returns(self, row: RoundEntry, current: Round | None) -> bool:
        fits = self._is_new(row) and not self._takes(row, current)
        self.ends[_hold(row)] = row
        return fits

    def _ends_bet(self, row: RoundEntry, current: Round) -> bool:
        bet = current.open.pop(row.wallet_id or 0, None)
        if bet is None or bet.hold != _hold(row) or bet.hold in self.ends:
            return False
        self.ends[_hold(row)] = row
        if row.kind == "left":
            due_ms = current.opened_ms + self._tables[row.table].betting_ms
            current.bets -= 1
            current.staked -= bet.stake
            return self._is_betting(current) and row.at_ms < due_ms
        if row.kind == "cashed_out":
            return _is_running(current) and self._pays(row, current, bet)
        ended = current.ended is not None and current.ended.kind
        if row.kind == "refunded":
            return ended == "voided"
        return ended == "crashed" and row.payout_minor == 0 and bet.target > current.bust

    def _pays(self, row: RoundEntry, current: Round, bet: Bet) -> bool:
        assert current.started_ms is not None
        multiplier, payout = row.multiplier or 0, row.payout_minor or 0
        reached = multiplier_at(row.at_ms - current.started_ms)
        why = {
            "manual": multiplier == reached < current.bust,
            "auto": multiplier == bet.auto,
            "most_of_bet": multiplier == bet.bound,
            "most_of_round": multiplier == current.forced,
        }
        current.paid += payout
        current.won += payout - bet.stake
        table = self._tables[row.table]
        return (
            why[row.reason or ""]
            and multiplier <= min(current.bust, bet.target, reached)
            and payout == bet.stake * multiplier // 100
            and payout - bet.stake <= table.bankroll * table.bet_share_percent // 100
            and current.won <= table.bankroll * table.round_share_percent // 100
        )

    def _ends_round(self, row: RoundEntry, current: Round) -> bool:
        before, current.ended = current.ended, row
        said = (row.multiplier, row.bets, row.stake_minor, row.payout_minor)
        sums = (current.bust, current.bets, current.staked, current.paid)
        if before is not None or said != sums or row.hash != self._hashes[row.table]:
            return False
        if row.kind == "voided":
            return True
        assert current.started_ms is not None
        # Who was to be cashed out by now was.
        late = any(bet.target <= current.bust for bet in current.open.values())
        reached = multiplier_at(row.at_ms - current.started_ms)
        return reached >= current.bust and not late

    def hold(self, row: Entry, sent: Counter[Any]) -> bool:
        """Check an entry that holds a stake; `sent` gets the message that must ask the table."""
        step = row.step
        assert step is not None
        self.holds[row.wallet_id, row.seq] = row
        chosen = json.loads(step.parameters or "")
        table, number = map(int, chosen["round_id"].split("-"))
        stake, auto = step.stake_minor, chosen["auto_cashout"]
        asked = (table, number, row.wallet_id, row.seq, stake, row.currency, auto)
        sent[message_id(row.wallet_id, row.seq), table, *asked] += 1
        return (step.pair, step.nonce) == (None, None) and (stake or 0) > 0

    def close(self, row: Entry) -> int | None:
        """Check an entry that ends a hold: what the house has made of it; None if it is wrong."""
        step = row.step
        assert step is not None
        hold = row.wallet_id, step.hold or 0
        opened, end = self.holds.get(hold), self.ends.get(hold)
        if opened is None or opened.step is None or end is None or hold in self.closed:
            return None
        self.closed[hold] = row.seq
        payout = end.payout_minor
        fits = (
            (row.kind == "release") == (payout is None)
            and (step.game, step.stake_minor, step.payout_minor)
            == ("crash", opened.step.stake_minor, payout)
            and row.currency == opened.currency
            and row.request_id == settlement_id(*hold)
            and row.available_delta == (step.stake_minor if payout is None else payout)
            and row.held_delta == -(step.stake_minor or 0)
            and json.loads(step.outcome or "") == _outcome(end)
        )
        return (0 if payout is None else (step.stake_minor or 0) - payout) if fits else None

    def held_at(self, wallet_id: int, seq: int) -> Counter[str]:
        """What a wallet's rows held for rounds when row `seq` was its newest."""
        held: Counter[str] = Counter()
        for (wallet, opened), row in self.holds.items():
            if wallet == wallet_id and opened <= seq and row.step is not None:
                closed = self.closed.get((wallet, opened))
                if closed is None or closed > seq:
                    held[row.currency] += row.step.stake_minor or 0
        return held

    def may_forget(self, message: Message) -> bool:
        """Whether a delivered message has done its work."""
        body: Any = message.body
        if type(body).__name__ == "Join":
            hold = (body.wallet_id, body.hold)
            return hold in self.joined or hold in self.ends
        return (message.key, body.hold) in self.closed

    def told(self, push: Announcement) -> None:
        """A process told a table's room: what is in the rows, and nothing of what is to come."""
        data, table = push.data, int(push.room.removeprefix("crash:"))
        number = int(data.round_id.removeprefix(f"{table}-"))
        rows = [row for row in self.rows[table] if row.round == number]
        current = self.rounds[table][number]
        match push.event:
            case "round:ticked":
                elapsed_ms = data.at_ms - (current.started_ms or 0)
                curve = multiplier_at(elapsed_ms)
                fits = (data.elapsed_ms, data.multiplier) == (elapsed_ms, curve)
                fits = fits and curve < current.bust
            case "round:crashed" | "round:voided":
                row = current.ended
                fits = row is not None and (data.at_ms, data.bust, data.hash) == (
                    row.at_ms,
                    row.multiplier,
                    row.hash,
                )
                fits = fits and row is not None and push.event == f"round:{row.kind}"
            case "round:opened" | "round:started" | "round:forced":
                kind = push.event.removeprefix("round:")
                fits = any((row.kind, row.at_ms) == (kind, data.at_ms) for row in rows)
            case "bet:joined":
                said = ("joined", data.player, data.stake)
                fits = any((row.kind, row.player, row.stake_minor) == said for row in rows)
            case "bet:left":
                fits = any((row.kind, row.seq) == ("left", data.seq) for row in rows)
            case _:
                paid = ("cashed_out", data.multiplier, data.payout)
                fits = push.event == "player:cashed_out" and any(
                    (row.kind, row.multiplier, row.payout_minor) == paid
                    and data.player == f"player{row.wallet_id}"
                    for row in rows
                )
        if not fits:
            self._fail(f"{push} was published, but not committed")

    @property
    def are_open(self) -> bool:
        """Whether any hold has not ended yet."""
        return len(self.closed) < len(self.holds)


def is_of_crash(message: Message) -> bool:
    """Whether a message goes between a wallet and a table."""
    return type(message.body).__name__ in {"Join", "SettleHold", "ReleaseHold"}


def sign(message: Message) -> tuple[Any, ...]:
    """What a message says, as `Rounds` expects it of the rows."""
    body: Any = message.body
    if type(body).__name__ == "Join":
        asked = (body.table, body.round, body.wallet_id, body.hold, body.stake_minor)
        return (message.id, message.key, *asked, body.currency, body.auto_cashout)
    payout = getattr(body, "payout_minor", None)
    return (message.id, message.key, body.hold, payout, json.dumps(json.loads(body.outcome)))


def _ending(row: RoundEntry) -> tuple[Any, ...]:
    return (row.hold, row.payout_minor, json.dumps(_outcome(row)))


def _outcome(row: RoundEntry) -> dict[str, Any]:
    return {
        "round_id": f"{row.table}-{row.round}",
        "ended": row.kind,
        "multiplier": row.multiplier,
        "reason": row.reason,
    }


def _hold(row: RoundEntry) -> Hold:
    assert row.wallet_id is not None
    assert row.hold is not None
    return row.wallet_id, row.hold


def _is_running(current: Round) -> bool:
    return current.started_ms is not None and current.ended is None


@cache
def _hash_at_position(last: str, steps: int) -> str:
    for _ in range(steps):
        last = hashlib.sha256(last.encode()).hexdigest()
    return last


def _hash_at(chain: Chain, position: int) -> str:
    """The hash of a round, from the chain's last one down."""
    return _hash_at_position(chain.links[chain.length], chain.length - position)
