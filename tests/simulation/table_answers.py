"""Every answer about a crash table is held against the committed rows in the moment it is given."""

from collections.abc import Callable
from typing import Any

from actors.wallet.facts import Entry
from protocol.commands.crash import (
    BetCrash,
    CashedOut,
    CashOutCrash,
    CrashBet,
    CrashCancelled,
    CrashState,
)
from protocol.errors import Failure
from tests.simulation.call import Call
from tests.simulation.rounds import Rounds

# What only a table refuses, beside what it refuses as others do.
REFUSALS = {
    "currency_mismatch",
    "auto_cashout_out_of_range",
    "round_over",
    "round_started",
    "round_not_started",
    "round_full",
    "unknown_round",
    "already_in_round",
    "not_in_round",
    "already_cashed_out",
}
FindRow = Callable[[Call], Entry | None]
"""The committed row of a call's request id."""


def content(command: BetCrash) -> tuple[Any, ...]:
    """What the row of a bet must say, the request id apart."""
    auto = "null" if command.auto_cashout is None else command.auto_cashout
    chosen = f'{{"round_id":"{command.round_id}","auto_cashout":{auto}}}'
    return ("crash", command.currency, command.stake, chosen)


def content_of(row: Entry) -> tuple[Any, ...]:
    """The same, as the row of a hold says it."""
    assert row.step is not None
    return ("crash", row.currency, row.step.stake_minor, row.step.parameters)


class TableAnswers:
    """The auditor of what tables answer; each check returns what is wrong, if anything is."""

    def __init__(self, rounds: Rounds, row_of: FindRow) -> None:
        self._rounds = rounds
        self._row_of = row_of

    def done(self, call: Call, outcome: Any) -> str | None:
        """A command was done."""
        if isinstance(outcome, CrashState):
            return self._shown(call, outcome)
        if isinstance(outcome, CrashBet):
            return self._bet(call, outcome)
        assert isinstance(outcome, CashedOut | CrashCancelled)
        table, number = map(int, outcome.round_id.split("-"))
        wallet_id, hold = map(int, outcome.bet_id.split("-"))
        end = self._rounds.ends.get((wallet_id, hold))
        if end is None or (end.table, end.round, wallet_id) != (table, number, call.wallet_id):
            return "not committed"
        if isinstance(outcome, CrashCancelled):
            said: Any = ("left", outcome.at_ms, "cancelled", None, None)
        else:
            paid = (outcome.multiplier, outcome.payout)
            said = ("cashed_out", outcome.at_ms, "manual", *paid)
        stands = (end.kind, end.at_ms, end.reason, end.multiplier, end.payout_minor)
        if said != stands or outcome.round_id != call.command.round_id:
            return f"the row says {end}"
        return None if call.sent_ms <= outcome.at_ms else "decided before it was asked for"

    def _bet(self, call: Call, outcome: CrashBet) -> str | None:
        row, command = self._row_of(call), call.command
        if row is None or row.step is None or content(command) != content_of(row):
            return f"acknowledged, but {row} stands"
        joined = self._rounds.joined.get((row.wallet_id, row.seq))
        if joined is None:
            return "acknowledged, but never in the round"
        said = (outcome.round_id, outcome.bet_id, outcome.stake, outcome.auto_cashout)
        stands = (
            f"{joined.table}-{joined.round}",
            f"{joined.wallet_id}-{joined.hold}",
            joined.stake_minor,
            joined.auto_cashout,
        )
        return None if said == stands else f"the row says {joined}"

    def _shown(self, call: Call, outcome: CrashState) -> str | None:
        if outcome.round_id is None:
            return None
        number = int(outcome.round_id.split("-")[1])
        current = self._rounds.rounds[outcome.table].get(number)
        if current is None:
            return "the round is not committed"
        if outcome.phase.value in {"betting", "running"}:
            if (outcome.bust, outcome.hash) != (None, None):
                return "what decides the round is shown before it is over"
        elif current.ended is None or outcome.hash != current.ended.hash:
            return f"the round ended by {current.ended}"
        if outcome.multiplier is not None and outcome.multiplier >= current.bust:
            return "shown as running after its bust"
        return self._own(call, outcome)

    def _own(self, call: Call, outcome: CrashState) -> str | None:
        own = outcome.own
        if own is None:
            return None
        wallet_id, hold = map(int, own.bet_id.split("-"))
        joined = self._rounds.joined.get((wallet_id, hold))
        if joined is None or wallet_id != call.wallet_id or own.stake != joined.stake_minor:
            return f"the bet is {joined}"
        if own.ended is None:
            return None
        end = self._rounds.ends.get((wallet_id, hold))
        said = (own.ended, own.multiplier, own.payout)
        if end is None or said != (end.kind, end.multiplier, end.payout_minor):
            return f"the bet ended by {end}"
        return None

    def refused(self, call: Call, failure: Failure) -> str | None:
        """A command was refused, and not because something was away."""
        command, code = call.command, failure.kind.code
        if isinstance(command, BetCrash):
            return self._refused_bet(call)
        if code == "already_cashed_out":
            ends = self._rounds.ends.values()
            said = (call.wallet_id, command.round_id, *failure.details.values())
            paid = (
                (end.wallet_id, f"{end.table}-{end.round}", end.multiplier, end.payout_minor)
                for end in ends
                if end.kind == "cashed_out"
            )
            return None if said in paid else "no row says so"
        table, number = map(int, command.round_id.split("-"))
        current = self._rounds.rounds[table].get(number)
        if current is None or not call.process.follows(call, table):
            return None
        could = current.ended is None and call.wallet_id in current.open
        started = current.started_ms is not None
        if could and started is isinstance(command, CashOutCrash) and code == "round_over":
            return f"the bet is in {vars(current)}"
        return None

    def _refused_bet(self, call: Call) -> str | None:
        row = self._row_of(call)
        if row is None or row.step is None or content(call.command) != content_of(row):
            return None
        hold = (row.wallet_id, row.seq)
        if hold not in self._rounds.joined or row.seq > call.process.knows_until(call):
            return None
        return f"refused, but it was taken: {self._rounds.joined[hold]}"

    def was_returned(self, row: Entry) -> bool:
        """Whether a stake was held for a round that did not take the bet."""
        end = self._rounds.ends.get((row.wallet_id, row.seq))
        return end is not None and end.kind == "returned"
