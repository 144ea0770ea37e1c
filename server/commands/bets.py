"""Bets of every game: single ones and batches to the wallet, records from the committed rows."""

from typing import Any

from actors.runtime.node import Node
from actors.wallet.rules import WALLET
from protocol.catalogue import Rate
from protocol.commands.bets import (
    BetHistory,
    BetRecord,
    GetBet,
    GetBets,
    PlaceBets,
    Placed,
    PlacedBets,
)
from protocol.errors import Failure, body
from server.budget import Clock
from server.caller import Caller
from server.commands.mines import mines_handlers
from server.commands.own import own_wallet
from server.reply import Answer
from server.router import Handler
from server.work import Work
from storage.queries.bets import Bets


class BetCommands:
    """Handlers of the games, of `bets:*` and `bet:*`."""

    def __init__(self, node: Node, bets: Bets, clock_s: Clock) -> None:
        self._node = node
        self._bets = bets
        self._clock_s = clock_s
        self.settled_in_batches = 0

    def handlers(self, work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        return {
            "dice:roll": own_wallet(self._node),
            "limbo:play": own_wallet(self._node),
            "plinko:drop": own_wallet(self._node),
            **mines_handlers(self._node),
            "bets:place": self._place,
            "bet:history": work.answering(self._history),
            "bet:get": work.answering(self._get),
            "seed:get": own_wallet(self._node),
            "seed:rotate": own_wallet(self._node),
            "seed:set_client": own_wallet(self._node),
        }

    def _place(self, caller: Caller, command: PlaceBets, answer: Answer) -> None:
        budget = caller.budgets[Rate.BETS]
        # The router took one for the message; what counts is each bet of it, all at once, so that
        # who comes back when told has enough.
        budget.put_back(1)
        try:
            budget.take(len(command.bets), self._clock_s())
        except Failure as failure:
            answer.reject(failure)
            return
        batch = _Batch(self, answer, len(command.bets))
        for index, bet in enumerate(command.bets):
            self._node.send(WALLET, caller.user_id, bet, _Item(batch, index))

    async def _history(self, caller: Caller, command: GetBets) -> BetHistory:
        return await self._bets.page(caller.user_id, command)

    async def _get(self, caller: Caller, command: GetBet) -> BetRecord:
        return await self._bets.one(caller.user_id, command)


class _Batch:
    """The answers of one message's bets, until the last is there."""

    __slots__ = ("_answer", "_left", "_owner", "_results", "origin")

    def __init__(self, owner: BetCommands, answer: Answer, count: int) -> None:
        self._owner = owner
        self._answer = answer
        self._left = count
        self._results: list[Placed | None] = [None] * count
        self.origin = answer.origin

    def put(self, index: int, placed: Placed) -> None:
        self._results[index] = placed
        self._left -= 1
        self._owner.settled_in_batches += placed.success
        if self._left == 0:
            results = [placed for placed in self._results if placed is not None]
            self._answer.resolve(PlacedBets(results=results))


class _Item:
    """The reply to one bet of a batch."""

    __slots__ = ("_batch", "_index")

    def __init__(self, batch: _Batch, index: int) -> None:
        self._batch = batch
        self._index = index

    @property
    def origin(self) -> object | None:
        return self._batch.origin

    def resolve(self, value: Any) -> None:
        self._batch.put(self._index, Placed(success=True, data=value))

    def reject(self, failure: Failure) -> None:
        self._batch.put(self._index, Placed(success=False, error=body(failure)))
