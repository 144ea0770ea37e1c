"""Every crash round is what its hash says, each of its bets ended once, and paid what it must.

All is computed anew from the rows: the chain from the hashes that rounds revealed, each of which
must lead to the one before and so to the terminal hash, and the busts from the published formula.
Memory holds one round.
"""

import hashlib
import hmac
from decimal import Decimal
from functools import cache
from typing import Any, Final

import asyncpg
import msgspec

from storage.audit.report import Report
from storage.audit.stream import stream

_ROWS: Final = """
    select e.*, c.terminal_hash, c.public_seed, c.table_id as chain_table
    from crash_entries e left join crash_chains c on c.id = e.chain_id
    order by e.table_id, e.seq
"""
# After it the multiplier rises no more.
_LAST_MS: Final = 230_259
_ENDINGS: Final = {"left": "betting", "cashed_out": "running", "lost": "over", "refunded": "over"}
"""How a bet ends, and the phase in which it may."""


async def check_rounds(connection: asyncpg.Connection, report: Report) -> None:
    """Report rows of crash tables that are not what they must be."""
    table: _Table | None = None
    async for row in stream(connection, _ROWS):
        if table is None or table.number != row["table_id"]:
            table = _Table(row["table_id"], report)
        table.enter(row)
        if report.full:
            return


class _Bet(msgspec.Struct):
    """A bet of the round, while it is open."""

    hold: int
    stake: int
    auto: int | None
    target: int


class _Table:
    """One table as its rows are read in order."""

    def __init__(self, number: int, report: Report) -> None:
        self.number = number
        self._report = report
        self._seq = 0
        self._round = 0
        self._phase = "over"
        self._voided = False
        self._opened: Any = None
        self._started_ms: int | None = None
        self._bust = 0
        # The hash of the newest round that is over, and where it stands.
        self._place: tuple[int, int] = (0, 0)
        self._hash: str | None = None
        self._open: dict[int, _Bet] = {}
        self._paid: list[Any] = []
        self._bets = self._stakes = self._payouts = 0
        self._forced: int | None = None

    def enter(self, row: Any) -> None:
        """Take the next row."""
        if row["seq"] != self._seq + 1:
            self._found("round_gap", f"row {row['seq']} follows row {self._seq}", row)
        self._seq = row["seq"]
        kind = row["kind"]
        if kind == "opened":
            self._begin(row)
        elif kind == "returned":
            return
        elif row["round"] != self._round:
            self._found("round_order", f"{kind} in round {row['round']}, not {self._round}", row)
        elif kind == "joined":
            self._join(row)
        elif kind in _ENDINGS:
            self._end(row)
        else:
            self._go_on(row)

    def _found(self, check: str, text: str, row: Any) -> None:
        where = f"table {self.number}, row {row['seq']}: {text}"
        self._report.found(check, where, row["wallet_id"])

    def _begin(self, row: Any) -> None:
        self._report.rounds += 1
        if self._phase != "over" or row["round"] != self._round + 1:
            text = f"round {row['round']} opened, round {self._round} is {self._phase}"
            self._found("round_order", text, row)
        if self._open:
            self._found("round_bets", f"bets of {sorted(self._open)} did not end before", row)
        chain_id, position = row["chain_id"], row["position"]
        follows = (chain_id, position) == (self._place[0], self._place[1] + 1)
        if row["chain_table"] != self.number or not (follows or position == 1):
            self._found("round_hash", f"place {chain_id}/{position} after {self._place}", row)
        if position == 1:
            self._hash = row["terminal_hash"]
        self._place = chain_id, position
        self._opened, self._round, self._phase, self._voided = row, row["round"], "betting", False
        self._open.clear()
        self._paid.clear()
        self._bets = self._stakes = self._payouts = 0
        self._forced = self._started_ms = None

    def _join(self, row: Any) -> None:
        wallet_id = row["wallet_id"]
        if self._phase != "betting" or wallet_id in self._open:
            self._found("round_order", f"wallet {wallet_id} joined a round {self._phase}", row)
        self._open[wallet_id] = _Bet(row["hold"], row["stake"], row["auto_cashout"], row["target"])
        self._bets += 1
        self._stakes += row["stake"]

    def _end(self, row: Any) -> None:
        kind, bet = row["kind"], self._open.pop(row["wallet_id"], None)
        if bet is None or bet.hold != row["hold"]:
            self._found("round_bets", f"{kind}, but no such bet is open", row)
            return
        fits = self._phase == _ENDINGS[kind] and self._voided is (kind == "refunded")
        if not fits:
            self._found("round_order", f"{kind} in a round {self._phase}", row)
        if kind == "left":
            self._bets -= 1
            self._stakes -= bet.stake
        elif kind == "cashed_out":
            self._pay(row, bet)
        else:
            self._close(row, bet)

    def _close(self, row: Any, bet: _Bet) -> None:
        """A bet that is lost or refunded, so that nothing was to be paid for it."""
        if row["payout"]:
            self._found("round_payout", f"{row['payout']} for a bet that lost", row)
        lost = row["kind"] == "lost"
        if lost and bet.auto is not None and bet.auto <= self._bust:
            text = f"{row['kind']} at {self._bust}, but was to cash out at {bet.auto}"
            self._found("round_payout", text, row)

    def _reached(self, at_ms: int) -> int:
        """The multiplier at a time, in hundredths."""
        elapsed_ms = 0 if self._started_ms is None else at_ms - self._started_ms
        return _multiplier_at(max(0, min(elapsed_ms, _LAST_MS)))

    def _pay(self, row: Any, bet: _Bet) -> None:
        multiplier, payout = row["multiplier"], row["payout"]
        self._payouts += payout
        # What only the bust can judge is kept until the round's hash is known.
        self._paid.append(row)
        if payout != bet.stake * multiplier // 100:
            text = f"{payout} was paid for {bet.stake} at {multiplier} hundredths"
            self._found("round_payout", text, row)
        at_most = self._reached(row["at_ms"])
        right = {
            "manual": multiplier == at_most,
            "auto": multiplier == bet.auto,
            "most_of_bet": multiplier == bet.target,
            "most_of_round": multiplier == self._forced,
        }
        if multiplier > min(at_most, bet.target) or not right.get(row["reason"], False):
            text = f"{multiplier} hundredths, {row['reason']}: {bet.auto} to {bet.target}"
            self._found("round_payout", f"{text}, reached {at_most}, forced {self._forced}", row)

    def _go_on(self, row: Any) -> None:
        kind = row["kind"]
        wanted = {"started": "betting", "forced": "running", "crashed": "running"}.get(kind)
        if self._phase == "over" or (wanted is not None and self._phase != wanted):
            self._found("round_order", f"{kind} in a round {self._phase}", row)
        if kind == "started":
            self._phase, self._started_ms = "running", row["at_ms"]
        elif kind == "forced":
            self._forced = row["multiplier"]
        else:
            self._finish(row)

    def _finish(self, row: Any) -> None:
        self._check_hash(row)
        self._phase, self._voided = "over", row["kind"] == "voided"
        said = (row["bets"], row["stake"], row["payout"])
        sums = (self._bets, self._stakes, self._payouts)
        if said != sums:
            self._found("round_sums", f"the row says {said}, its bets {sums}", row)
        opened, bust = self._opened, row["multiplier"]
        due = None
        if opened is not None and row["public_seed"] is not None:
            drawn = (row["hash"], row["public_seed"])
            due = _bust(*drawn, opened["edge_percent"], opened["multiplier"])
        if bust != due:
            self._found("round_bust", f"the row says {bust}, the hash says {due}", row)
        self._bust = bust
        for paid in self._paid:
            if paid["multiplier"] > bust:
                self._found("round_payout", f"{paid['multiplier']} of a bust at {bust}", paid)
        if row["kind"] == "crashed" and self._reached(row["at_ms"]) < bust:
            self._found("round_time", f"ended before {bust} hundredths were reached", row)

    def _check_hash(self, row: Any) -> None:
        place, before = (row["chain_id"], row["position"]), _sha256(row["hash"])
        if place != self._place or before != self._hash:
            text = f"the hash at {place} leads to {before}, known is {self._hash} at {self._place}"
            self._found("round_hash", text, row)
        self._hash = row["hash"]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _bust(round_hash: str, public_seed: str, edge_percent: int, most: int) -> int:
    """0.97 (with an edge of 3 %) of 2**52 over what 52 bits leave, from 1.00 to `most`."""
    digest = hmac.new(round_hash.encode(), public_seed.encode(), hashlib.sha256).hexdigest()
    left = 2**52 - int(digest[:13], 16)
    return min(most, max(100, (100 - edge_percent) * 2**52 // left))


# Kept for each millisecond of the longest round, at most: many bets are cashed out in the same.
@cache
def _multiplier_at(elapsed_ms: int) -> int:
    """The number e to the 0.00006 a millisecond, rounded down to hundredths; 1,000,000 at most."""
    power = (Decimal(elapsed_ms) * Decimal("0.00006")).exp()
    return min(int(100 * power), 100_000_000)
