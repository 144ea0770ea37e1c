"""A casino's usual server on python-socketio as it comes: wallets in Redis, PostgreSQL behind them.

Its one argument is JSON, a PeerPlan.
"""

import asyncio
import logging
import sys
import time
from typing import Any

import asyncpg
import msgspec
import socketio
import uvloop
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from benchmarks.peers.dice_wallets import DiceWallets, Seat, Settled
from benchmarks.peers.listening import serve_app
from benchmarks.peers.peer_plan import PeerPlan
from benchmarks.peers.write_behind import WriteBehind
from protocol.commands.dice import DiceResult, RollDice
from protocol.commands.wallet import BalanceOf
from protocol.errors import MALFORMED, OVERLOADED, STORAGE_UNAVAILABLE, TOKEN_INVALID, Failure
from protocol.ids import bet_id
from server.answer import refusal, success

log = logging.getLogger(__name__)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Table:
    """Answers every roll."""

    def __init__(self, wallets: DiceWallets, rows: WriteBehind) -> None:
        self._wallets = wallets
        self._rows = rows
        self._seats: dict[str, Seat] = {}

    async def connect(self, sid: str, _environ: Any, auth: Any) -> None:
        """Let in whoever has a token."""
        token = auth.get("token") if isinstance(auth, dict) else None
        seat = await self._wallets.seat(token) if isinstance(token, str) else None
        if seat is None:
            raise socketio.exceptions.ConnectionRefusedError(TOKEN_INVALID.code)
        self._seats[sid] = seat

    async def disconnect(self, sid: str, *_reason: str) -> None:
        """Forget a socket."""
        self._seats.pop(sid, None)

    async def roll(self, sid: str, payload: Any) -> dict[str, Any]:
        """Settle one bet and answer it."""
        try:
            answer = success(await self._roll(self._seats[sid], payload), _now_ms())
        except Failure as failure:
            return _plain(refusal(failure, _now_ms()))
        except RedisError:
            log.exception("Redis failed")
            return _plain(refusal(Failure(STORAGE_UNAVAILABLE), _now_ms()))
        return _plain(answer)

    async def _roll(self, seat: Seat, payload: Any) -> DiceResult:
        try:
            command = msgspec.convert(payload, RollDice)
        except msgspec.ValidationError as error:
            raise Failure(MALFORMED, reason=str(error)) from error
        if self._rows.full:
            raise Failure(OVERLOADED)
        settled = await self._wallets.place(seat, command)
        if settled.fresh:
            self._rows.add(_row(seat.user_id, command, settled))
        return _result(seat.user_id, command, settled)


def _plain(answer: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(answer)
    return plain


def _result(user_id: int, command: RollDice, settled: Settled) -> DiceResult:
    balance = BalanceOf(command.currency, settled.balance_minor, 0, settled.seq)
    return DiceResult(
        bet_id=bet_id(user_id, settled.seq),
        roll=settled.roll,
        won=settled.won,
        target=command.target,
        direction=command.direction,
        currency=command.currency,
        stake=command.stake,
        payout=settled.payout_minor,
        pair=settled.pair,
        nonce=settled.nonce,
        balance=balance,
    )


def _row(user_id: int, command: RollDice, settled: Settled) -> tuple[Any, ...]:
    """A bet in the order of the write-behind's columns."""
    return (
        *(user_id, settled.seq, command.currency, "bet"),
        *(settled.payout_minor - command.stake, 0, settled.balance_minor, 0),
        *(command.request_id, _now_ms(), "dice", command.stake, settled.payout_minor),
        *(settled.pair, settled.nonce),
        f'{{"target":{command.target},"direction":"{command.direction.value}"}}',
        f'{{"roll":{settled.roll},"won":{"true" if settled.won else "false"}}}',
    )


async def serve(plan: PeerPlan) -> None:
    """Serve until the process is ended."""
    connection = await asyncpg.connect(plan.database_url)
    wallets = DiceWallets(Redis(unix_socket_path=plan.redis), plan.limits)
    await wallets.start()
    rows = WriteBehind(connection)
    table = Table(wallets, rows)
    server = socketio.AsyncServer(async_mode="aiohttp", transports=["websocket"])
    server.on("connect", table.connect)
    server.on("disconnect", table.disconnect)
    server.on("dice:roll", table.roll)
    app = web.Application()
    server.attach(app)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rows.run())
        tasks.create_task(serve_app(app))


if __name__ == "__main__":
    uvloop.run(serve(msgspec.json.decode(sys.argv[1], type=PeerPlan)))
