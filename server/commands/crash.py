"""Crash on its way to tables and wallets."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import asyncpg

from actors.crash.commands import AskBet, CashOut, Join, Leave, ReadTable, StakeCrash
from actors.crash.facts import RoundEntry
from actors.crash.rules import CRASH, joined
from actors.crash.table import Table
from actors.runtime.node import Node
from actors.wallet.rules import WALLET
from protocol.commands.crash import (
    BetCrash,
    CancelCrash,
    CashOutCrash,
    GetCrash,
    GetRounds,
    GetTables,
    Rounds,
    Tables,
    TableShown,
    UnwatchCrash,
    WatchCrash,
    Watching,
    parse_round_id,
    room_of,
)
from protocol.errors import ERRORS, MALFORMED, OVERLOADED, UNKNOWN_TABLE, Failure
from server.caller import Caller
from server.reply import Answer
from server.router import Handler
from server.work import Work
from storage.queries.rounds import rounds

FindTaken = Callable[[Join], Awaitable[RoundEntry | None]]
"""The row by which a table took a bet or sent it back, where it has done either."""


class CrashCommands:
    """Handlers of `crash:*`."""

    def __init__(
        self,
        node: Node,
        pool: asyncpg.Pool,
        tables: Mapping[int, Table],
        find_taken: FindTaken,
    ) -> None:
        self._node = node
        self._pool = pool
        self._tables = tables
        self._find_taken = find_taken

    def handlers(self, work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        self._repeat = work.acting(self._answer_again)
        return {
            "crash:bet": self._bet,
            "crash:cancel": self._cancel,
            "crash:cashout": self._cash_out,
            "crash:state": self._state,
            "crash:watch": self._watch,
            "crash:unwatch": self._unwatch,
            "crash:tables": work.answering(self._list),
            "crash:history": work.answering(self._history),
        }

    def _bet(self, caller: Caller, command: BetCrash, answer: Answer) -> None:
        table, number = parse_round_id(command.round_id)
        if not self._knows(table, answer):
            return
        assert caller.identity is not None
        stake = StakeCrash(
            table,
            number,
            caller.identity.username,
            command.stake,
            command.currency,
            command.auto_cashout,
            command.request_id,
        )
        asked = AskBet(
            number, caller.user_id, command.stake, command.currency, command.auto_cashout
        )
        staked = _Staked(self._node, partial(self._repeat, caller), answer)
        self._node.send(CRASH, table, asked, _Asked(staked, caller.user_id, stake))

    async def _answer_again(self, _caller: Caller, join: Join, answer: Answer) -> None:
        """The first answer to a bet whose stake is held already, from its committed row.

        The table itself is not asked: it forgets, and an old request must not join a round.
        """
        row = await self._find_taken(join)
        if row is None:
            # The message to the table is on its way.
            raise Failure(OVERLOADED, retry_after_ms=1_000)
        if row.reason is not None:
            raise Failure(ERRORS[row.reason])
        answer.resolve(joined(join, row.at_ms))

    def _cancel(self, caller: Caller, command: CancelCrash, answer: Answer) -> None:
        table, number = parse_round_id(command.round_id)
        if self._knows(table, answer):
            self._node.send(CRASH, table, Leave(number, caller.user_id), answer)

    def _cash_out(self, caller: Caller, command: CashOutCrash, answer: Answer) -> None:
        table, number = parse_round_id(command.round_id)
        if self._knows(table, answer):
            self._node.send(CRASH, table, CashOut(number, caller.user_id), answer)

    def _state(self, caller: Caller, command: GetCrash, answer: Answer) -> None:
        if self._knows(command.table, answer):
            self._node.send(CRASH, command.table, ReadTable(caller.user_id), answer)

    def _watch(self, caller: Caller, command: WatchCrash, answer: Answer) -> None:
        if not self._knows(command.table, answer):
            return
        if caller.socket is None:
            answer.reject(Failure(MALFORMED, reason="Only an open socket can watch."))
            return
        try:
            # Before the state is read: what happens meanwhile is told as an event.
            caller.socket.join(room_of(command.table))
        except Failure as failure:
            answer.reject(failure)
            return
        self._node.send(CRASH, command.table, ReadTable(caller.user_id), answer)

    def _unwatch(self, caller: Caller, command: UnwatchCrash, answer: Answer) -> None:
        if caller.socket is not None:
            caller.socket.leave(room_of(command.table))
        answer.resolve(Watching(table=command.table, watching=False))

    async def _list(self, _caller: Caller, _command: GetTables) -> Tables:
        return Tables(tables=[_shown(table) for table in self._tables.values()])

    async def _history(self, _caller: Caller, command: GetRounds) -> Rounds:
        if command.table not in self._tables:
            raise Failure(UNKNOWN_TABLE, table=command.table)
        return await rounds(self._pool, command)

    def _knows(self, table: int, answer: Answer) -> bool:
        if table in self._tables:
            return True
        answer.reject(Failure(UNKNOWN_TABLE, table=table))
        return False


class _Asked:
    """The table's word on a bet that nothing is staked on yet: then the wallet is asked."""

    __slots__ = ("_stake", "_staked", "_wallet_id")

    origin = None

    def __init__(self, staked: "_Staked", wallet_id: int, stake: StakeCrash) -> None:
        self._staked = staked
        self._wallet_id = wallet_id
        self._stake = stake

    def resolve(self, value: Any) -> None:
        # Refused or not: the wallet knows whether this request was made before.
        self._staked.stake(self._wallet_id, self._stake, value)

    def reject(self, failure: Failure) -> None:
        self._staked.reject(failure)


class _Staked:
    """The reply to a stake. A repeated request finds its hold, and is answered from the rows."""

    __slots__ = ("_answer", "_node", "_repeat", "origin")

    def __init__(self, node: Node, repeat: Callable[[Join, Answer], None], answer: Answer) -> None:
        self._node = node
        self._repeat = repeat
        self._answer = answer
        # The answer has no balance: the socket that asked is told it like all others.
        self.origin = None

    def stake(self, wallet_id: int, stake: StakeCrash, refusal: Failure | None) -> None:
        """Hold the stake, or be refused if this is no repeated request."""
        stake.refusal = refusal
        self._node.send(WALLET, wallet_id, stake, self)

    def resolve(self, value: Any) -> None:
        if type(value) is Join:
            self._repeat(value, self._answer)
        else:
            self._answer.resolve(value)

    def reject(self, failure: Failure) -> None:
        self._answer.reject(failure)


def _shown(table: Table) -> TableShown:
    return TableShown(
        table=table.number,
        name=table.name,
        currency=table.currency,
        least_stake=table.least_stake,
        most_stake=table.most_stake,
        most_profit=table.most_profit_minor,
        most_round_profit=table.most_round_profit_minor,
        most_multiplier=table.most_multiplier,
        betting_ms=table.betting_ms,
        pause_ms=table.pause_ms,
    )
