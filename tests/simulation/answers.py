"""Every answer and every push is held against the committed rows in the moment it is given."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from actors.decision import Push
from actors.wallet.commands import Adjust, SendTip, StartRain
from actors.wallet.facts import Entry
from protocol.commands.crash import BetCrash, CashedOut, CrashBet, CrashCancelled, CrashState
from protocol.commands.dice import RollDice
from protocol.commands.limbo import PlayLimbo
from protocol.commands.limits import PlayLimits
from protocol.commands.mines import CashOutMines, MinesGames, RevealTile, StartMines
from protocol.commands.plinko import DropPlinko
from protocol.commands.seed import CurrentSeed, Rotated
from protocol.commands.wallet import BalanceOf, Moved, Wallet, WalletUpdated
from protocol.errors import Failure
from tests.simulation import limits, mines, rain, table_answers
from tests.simulation.books import Books
from tests.simulation.call import Call
from tests.simulation.rounds import Rounds
from tests.simulation.table_answers import REFUSALS, TableAnswers

EXPECTED_REFUSALS = {
    "insufficient_balance",
    "unknown_currency",
    "balance_limit",
    "request_mismatch",
    "self_transfer",
    "stake_too_small",
    "stake_too_large",
    "profit_too_large",
    "target_out_of_range",
    "unknown_board",
    "malformed",
    "seed_in_use",
    "tile_revealed",
    "no_open_game",
    "game_open",
    "nothing_picked",
    *limits.REFUSALS,
    *rain.REFUSALS,
}
# What the state of a game refuses, and whether one was open then.
GAME_REFUSALS = {
    "tile_revealed": True,
    "no_open_game": False,
    "game_open": True,
    "nothing_picked": True,
}
EXPECTED_REFUSALS |= REFUSALS
TEMPORARY_REFUSALS = {
    *("overloaded", "storage_unavailable", "draining", "evicted"),
    *("moving", "unreachable"),
}


def content(command: Any) -> tuple[Any, ...]:
    """What a row must say that came of this command, the request id apart."""
    if isinstance(command, Adjust):
        return (command.kind, command.currency, command.amount_minor, command.operator)
    if isinstance(command, SendTip):
        return ("tip_sent", command.currency, command.amount_minor, command.to)
    if isinstance(command, StartRain):
        return rain.content(command)
    if isinstance(command, RollDice):
        game, chosen = "dice", f'"target":{command.target},"direction":"{command.direction.value}"'
    elif isinstance(command, PlayLimbo):
        game, chosen = "limbo", f'"target":{command.target}'
    elif isinstance(command, BetCrash):
        return table_answers.content(command)
    elif isinstance(command, StartMines):
        return ("start", command.currency, command.stake, command.mines)
    elif isinstance(command, RevealTile):
        return ("pick", command.currency, command.tile)
    elif isinstance(command, CashOutMines):
        return ("cash out", command.currency)
    else:
        assert isinstance(command, DropPlinko)
        game, chosen = "plinko", f'"rows":{command.rows},"risk":"{command.risk}"'
    return (game, command.currency, command.stake, "{" + chosen + "}")


def content_of(row: Entry) -> tuple[Any, ...]:
    """The same, as a row says it."""
    if row.bet is not None:
        return (row.bet.game, row.currency, row.bet.stake_minor, row.bet.parameters)
    if row.step is not None and row.step.game == "crash":
        return table_answers.content_of(row)
    if row.step is not None:
        return mines.content_of(row)
    if row.rain is not None:
        return rain.content_of(row)
    return (row.kind, row.currency, abs(row.available_delta), row.counterparty)


class Answers:
    """The auditor of what leaves the processes."""

    def __init__(self, books: Books, rounds: Rounds, fail: Callable[[str], None]) -> None:
        self._books = books
        self._tables = TableAnswers(rounds, self._row_of)
        self._fail = fail
        self._outcomes: dict[tuple[int, UUID], list[Call]] = {}
        self._pushed: dict[tuple[int, int, str], int] = {}
        """The newest seq that a process told a wallet's room, by currency."""
        self._newest: dict[tuple[int, str], WalletUpdated] = {}

    def sent(self, call: Call) -> None:
        """Remember a call with a request id, for the end."""
        if call.request_id is not None:
            self._outcomes.setdefault((call.wallet_id, call.request_id), []).append(call)

    def check(self, call: Call) -> None:
        """An answer was given."""
        outcome = call.outcome
        if isinstance(outcome, Failure):
            problem = self._refusal(call, outcome)
        elif isinstance(outcome, CrashBet | CrashCancelled | CashedOut | CrashState):
            problem = self._tables.done(call, outcome)
        elif call.request_id is not None:
            problem = self._done(call, outcome)
        elif isinstance(outcome, Wallet):
            problem = self._read(call, outcome)
        elif isinstance(outcome, PlayLimits):
            problem = self._books.limits.shown(call.wallet_id, call.command, outcome)
        elif isinstance(outcome, MinesGames):
            problem = self._games(call, outcome)
        else:
            problem = self._seeds(call, outcome)
        if problem:
            self._fail(f"call {call.number}, {call.command}: {outcome}: {problem}")

    def _row_of(self, call: Call) -> Entry | None:
        return self._books.by_request.get((call.wallet_id, call.request_id))

    def _done(self, call: Call, outcome: Any) -> str | None:
        row = self._books.by_request.get((call.wallet_id, call.request_id))
        if row is None:
            return "acknowledged, but not committed"
        if content(call.command) != content_of(row):
            return f"the answer to something else, {row}"
        balance = BalanceOf(row.currency, row.available_after, row.held_after, row.seq)
        bet, step = row.bet, row.step
        if step is not None:
            outcome = msgspec.to_builtins(outcome)
            game = self._books.games[row.wallet_id][step.hold or row.seq]
            expected: Any = game.answer(row)
        elif row.rain is not None:
            expected = rain.answer(row, self._books.rows[row.wallet_id])
        elif bet is None:
            expected = Moved(row.seq, row.kind, abs(row.available_delta), balance)
        else:
            outcome = msgspec.to_builtins(outcome)
            expected = {
                "game": bet.game,
                "bet_id": f"{row.wallet_id}-{row.seq}",
                "currency": row.currency,
                "stake": bet.stake_minor,
                "payout": bet.payout_minor,
                "pair": bet.pair,
                "nonce": bet.nonce,
                "balance": msgspec.to_builtins(balance),
                # The books have checked that outcome and payout are true.
                **json.loads(bet.parameters),
                **json.loads(bet.outcome),
            }
        return None if outcome == expected else f"the row says {expected}"

    def _read(self, call: Call, outcome: Wallet) -> str | None:
        if not call.process.fresh_from(call) <= outcome.seq <= self._books.seq(call.wallet_id):
            return (
                f"rows {call.process.fresh_from(call)} to {self._books.seq(call.wallet_id)} stand"
            )
        balances = self._books.balances_at(call.wallet_id, outcome.seq)
        held = self._books.held_at(call.wallet_id, outcome.seq)
        expected = [
            BalanceOf(code, amount, held.get(code, 0), outcome.seq)
            for code, amount in sorted(balances.items())
        ]
        return None if outcome.balances == expected else f"the rows say {expected}"

    def _games(self, call: Call, outcome: MinesGames) -> str | None:
        """The games are those of one moment since the call, and tell nothing of their mines."""
        shown = msgspec.to_builtins(outcome.games)
        moments = [
            [
                game.shown_at(seq)
                for game in self._books.open_at(call.wallet_id, seq)
                if call.command.currency in (None, game.currency)
            ]
            for seq in self._moments(call)
        ]
        return None if shown in moments else f"the rows say one of {moments}"

    def _moments(self, call: Call) -> range:
        """The rows that an answer may rest on."""
        return range(call.process.fresh_from(call), self._books.seq(call.wallet_id) + 1)

    def _seeds(self, call: Call, outcome: Any) -> str | None:
        pairs = self._books.pairs[call.wallet_id]
        current = outcome.current if isinstance(outcome, Rotated) else outcome
        if not isinstance(current, CurrentSeed):
            return "not an answer"
        if not 0 < current.pair <= len(pairs):
            return "the pair is not committed"
        pair = pairs[current.pair - 1]
        if (pair.server_seed_hash, pair.client_seed) != (
            current.server_seed_hash,
            current.client_seed,
        ):
            return f"the pair is {pair}"
        wanted = getattr(call.command, "client_seed", None) or current.client_seed
        if wanted != current.client_seed:
            return "not the client seed that was asked for"
        if not pair.first_nonce <= current.nonce <= self._next_nonce(call, pair.server_seed):
            return "the nonce is not one of this pair"
        return self._reveal(call, outcome) if isinstance(outcome, Rotated) else None

    def _reveal(self, call: Call, outcome: Rotated) -> str | None:
        revealed = outcome.revealed
        if revealed is None:
            return None if outcome.current.pair == 1 else "nothing was revealed"
        pairs = self._books.pairs[call.wallet_id]
        before, after = pairs[outcome.current.pair - 2], pairs[outcome.current.pair - 1]
        shown = (revealed.server_seed, revealed.server_seed_hash, revealed.client_seed)
        if before.server_number >= after.server_number:
            return "the seed that was revealed is still in use"
        if shown != (before.server_seed, before.server_seed_hash, before.client_seed):
            return f"the pair before was {before}"
        if revealed.next_nonce != self._next_nonce(call, before.server_seed):
            return "the nonces went further"
        self._books.revealed.add(revealed.server_seed)
        return None

    def _next_nonce(self, call: Call, server_seed: str) -> int:
        return self._books.next_nonce[call.wallet_id, server_seed]

    def _refusal(self, call: Call, failure: Failure) -> str | None:
        code = failure.kind.code
        if failure.kind.temporary:
            return None if code in TEMPORARY_REFUSALS else "not a refusal of good days or bad"
        if code not in EXPECTED_REFUSALS:
            return "nothing here asks for that"
        if code in REFUSALS:
            return self._tables.refused(call, failure)
        return self._unfounded(call, failure)

    def _unfounded(self, call: Call, failure: Failure) -> str | None:
        """What speaks against a refusal by a wallet, as far as the rows tell."""
        code = failure.kind.code
        row = self._books.by_request.get((call.wallet_id, call.request_id))
        if code == "request_mismatch":
            if row is None or content(call.command) == content_of(row):
                return f"the row is {row}"
        elif code == "insufficient_balance":
            return self._insufficient(call, failure)
        elif code == "nobody_active":
            return self._nobody(call, row)
        elif code in limits.REFUSALS:
            return self._books.limits.refused(call.wallet_id, failure)
        elif code in GAME_REFUSALS:
            return self._refused_by_game(call, failure, row)
        elif code == "seed_in_use":
            was_open = [seq for seq in self._moments(call) if self._open(call, seq, None)]
            return None if was_open else "no game was open since the call"
        return None

    def _refused_by_game(self, call: Call, failure: Failure, row: Entry | None) -> str | None:
        # A process that lost its shards unnoticed may have looked before the row was there.
        if row is not None and row.seq <= call.process.knows_until(call):
            return f"it was done, by {row}"
        wanted = GAME_REFUSALS[failure.kind.code]
        currency = call.command.currency
        if not any(self._open(call, seq, currency) is wanted for seq in self._moments(call)):
            return f"a game was {'not ' * wanted}open all the time since the call"
        return None

    def _open(self, call: Call, seq: int, currency: str | None) -> bool:
        games = self._books.open_at(call.wallet_id, seq)
        return any(currency in (None, game.currency) for game in games)

    def _nobody(self, call: Call, row: Entry | None) -> str | None:
        """Nobody was there now; what fell before answers all the same."""
        if row is not None and row.seq <= call.process.fresh_from(call):
            return f"it fell before, {row}"
        return "somebody was there" if call.command.to else None

    def _insufficient(self, call: Call, failure: Failure) -> str | None:
        """The balance that the refusal names is one that stood, committed, since the call."""
        stood = {
            self._books.balances_at(call.wallet_id, seq).get(call.command.currency, 0)
            for seq in self._moments(call)
        }
        if failure.details["available"] not in stood:
            return f"only these were ever committed since: {stood}"
        return None

    def push(self, process: int, wallet_id: int, push: Push) -> None:
        """A process told a room."""
        news = push.data
        row_at = self._books.rows[wallet_id][news.seq - 1 : news.seq]
        said = (news.currency, news.available, news.held)
        if [(row.currency, row.available_after, row.held_after) for row in row_at] != [said]:
            self._fail(f"{push} was published, but not committed: {row_at}")
        where = (process, wallet_id, news.currency)
        if self._pushed.get(where, 0) >= news.seq or push.key != news.currency:
            self._fail(f"{push} came after {self._pushed.get(where)}")
        self._pushed[where] = news.seq
        newest = self._newest.get((wallet_id, news.currency))
        if newest is None or newest.seq < news.seq:
            self._newest[wallet_id, news.currency] = news

    def in_order(self, calls: Sequence[Call]) -> None:
        """Calls of one connection to one wallet were done in the order in which they were sent."""
        rows = [self._row_of(call) for call in calls if not isinstance(call.outcome, Failure)]
        seqs = [row.seq for row in rows if row is not None]
        if seqs != sorted(seqs):
            numbers = [call.number for call in calls]
            self._fail(f"calls {numbers} were sent in this order, but done as rows {seqs}")

    def at_the_end(self) -> None:
        """Everything is quiet: what was said and what stands must agree."""
        for (wallet_id, request_id), calls in self._outcomes.items():
            row = self._books.by_request.get((wallet_id, request_id))
            if row is None:
                continue
            # Somebody who sent what the row says was told so, or does not know to this day.
            makers = [call for call in calls if content(call.command) == content_of(row)]
            if self._tables.was_returned(row):
                continue
            if all(_refused(call.outcome) for call in makers):
                self._fail(f"all {len(makers)} calls were refused, but there is {row}")
            # A bet at a table goes on to another actor, which may be moving when the stake is held.
            alone = row.step is None or row.step.game != "crash"
            if alone and all(_moved(call.outcome) for call in makers):
                self._fail(f"nothing was done by {len(makers)} calls, but there is {row}")

    def newest_is_final(self) -> None:
        """After a last, undisturbed change of every balance the newest push is the balance."""
        for (wallet_id, currency), news in self._newest.items():
            final = self._books.balances_at(wallet_id, self._books.seq(wallet_id))
            if news.available != final.get(currency):
                self._fail(f"wallet {wallet_id} was last told {news}, but has {final}")


def _refused(outcome: Any) -> bool:
    return isinstance(outcome, Failure) and not outcome.kind.temporary


def _moved(outcome: Any) -> bool:
    return isinstance(outcome, Failure) and outcome.kind.code == "moving"
