"""The crash tables of a world: their rules and hashes, and how a process and a player meet them."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, cast
from uuid import UUID

import asyncpg
import msgspec

from actors.crash.chain import Chain
from actors.crash.commands import Join
from actors.crash.facts import RoundEntry
from actors.crash.table import Table
from actors.runtime.answer import reject, resolve
from actors.runtime.ports import Reply
from protocol.commands.auth import Role
from protocol.commands.crash import (
    BetCrash,
    CancelCrash,
    CashOutCrash,
    GetCrash,
    round_id,
)
from protocol.errors import Failure
from server.auth.identity import Identity
from server.caller import Caller
from server.commands.crash import CrashCommands
from server.router import Handler
from server.work import Work
from tests.support.memory_database import MemoryDatabase
from tests.support.rounds import chain

NAMES = {
    BetCrash: "crash:bet",
    CancelCrash: "crash:cancel",
    CashOutCrash: "crash:cashout",
    GetCrash: "crash:state",
}
CrashCommand = BetCrash | CancelCrash | CashOutCrash | GetCrash
# Rounds of a chain: so few that a world comes to its end, and goes on with the next one.
ROUNDS = 40
TAKEN = {"joined", "returned"}
CHAINS = 12


def tables_of(seed: int) -> dict[int, Table]:
    """The tables of a world: none, one or two, quick enough that it sees many of their rounds."""
    rng = Random(f"tables {seed}")
    return {number: _table(number, rng) for number in range(1, rng.choice((0, 1, 1, 2)) + 1)}


def _table(number: int, rng: Random) -> Table:
    return Table(
        number=number,
        name=f"Table {number}",
        currency="USD",
        least_stake=5,
        most_stake=3_000,
        # So little that bets and rounds are cut off by it now and then.
        bankroll=rng.choice((2_000, 20_000, 10_000_000)),
        bet_share_percent=rng.choice((5, 100)),
        round_share_percent=rng.choice((3, 50)),
        most_multiplier=rng.choice((110, 150, 300)),
        betting_ms=rng.choice((300, 1_000, 3_000)),
        pause_ms=rng.choice((0, 100, 500)),
        tick_ms=rng.choice((500, 2_000)),
        max_bets=rng.choice((2, 100)),
    )


def chains_of(table: int) -> list[Chain]:
    """The chains of a table, in the order in which they are played."""
    return [chain(table * 100 + n, ROUNDS, lambda _bust: True) for n in range(CHAINS)]


class _Caught:
    """A reply whose faults stay with it, as those of sockets and of HTTP do."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.origin = reply.origin

    def resolve(self, value: Any) -> None:
        resolve(self._reply, value)

    def reject(self, failure: Failure) -> None:
        reject(self._reply, failure)


class _Work(Work):
    """Slow commands, whose tasks answer what may break."""

    def acting(self, function: Callable[[Caller, Any, Any], Awaitable[None]]) -> Handler:
        handle = super().acting(function)
        return lambda caller, command, reply: handle(caller, command, cast(Any, _Caught(reply)))


def handlers_of(node: Any, tables: dict[int, Table], database: MemoryDatabase) -> dict[type, Any]:
    """What a process does with a player's commands: the real handlers, on the database's twin."""

    async def find_taken(join: Join) -> RoundEntry | None:
        rows = database.rounds.get(join.table, {}).values()
        bet = (join.wallet_id, join.hold)
        return next(
            (row for row in rows if row.kind in TAKEN and (row.wallet_id, row.hold) == bet), None
        )

    commands = CrashCommands(node, cast(asyncpg.Pool, None), tables, find_taken)
    handlers = commands.handlers(_Work())
    return {type_: handlers[name] for type_, name in NAMES.items()}


def caller_of(wallet_id: int) -> Caller:
    """A player, as the shell knows one."""
    identity = Identity(wallet_id, f"player{wallet_id}", Role.PLAYER, UUID(int=wallet_id), 2**53)
    return Caller(identity, "", {})


def choose(rng: Random, tables: dict[int, Table], newest: dict[int, int], request: UUID) -> Any:
    """Something to do at a table, mostly sensible; `newest` are the rounds a player knows of."""
    table = tables[rng.choice(sorted(tables))]
    number = max(1, newest.get(table.number, 0) + rng.choice((0, 0, 0, 0, 0, 0, -1, 1)))
    of = round_id(table.number, number)
    kind = rng.choices((BetCrash, CashOutCrash, CancelCrash, GetCrash), (8, 4, 1, 2))[0]
    if kind is GetCrash:
        return GetCrash(table.number)
    if kind is CancelCrash:
        return CancelCrash(of)
    if kind is CashOutCrash:
        return CashOutCrash(of)
    auto = rng.choice((None, None, 100, 101, 105, 120, 150, 1_000))
    currency = "BTC" if rng.random() < 0.05 else "USD"
    return BetCrash(of, rng.randint(4, 600), currency, request, auto)


def go_on(rng: Random, command: BetCrash) -> Any:
    """What may follow a bet that was taken."""
    follows = (CashOutCrash(command.round_id), CancelCrash(command.round_id), command)
    return rng.choices(follows, (5, 2, 1))[0]


def changed(rng: Random, command: BetCrash) -> BetCrash:
    """The same request with other content."""
    if rng.random() < 0.5:
        return msgspec.structs.replace(command, stake=command.stake + 1)
    return msgspec.structs.replace(command, auto_cashout=(command.auto_cashout or 100) + 1)
