"""Wallets in Redis: one atomic script a bet, and all scripts of one turn in one pipeline."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

from redis.asyncio import Redis

from actors.dice import odds
from actors.dice.rules import DICE
from actors.fairness import Words
from actors.instant import check_wager
from actors.limits import Limits
from protocol.commands.dice import Direction, RollDice
from protocol.errors import (
    BALANCE_LIMIT,
    INSUFFICIENT_BALANCE,
    MALFORMED,
    OVERLOADED,
    REQUEST_MISMATCH,
    Failure,
)
from protocol.ids import is_client_made

SCRIPT: Final = (Path(__file__).parent / "wallet.lua").read_text()
# A retry comes within seconds; after a day nobody asks for the same bet again.
_REMEMBERED_S: Final = 86_400
# A nonce is only taken beforehand where another process plays for the same player.
_TRIES: Final = 3
# What the script answers.
_NEW, _KNOWN, _NOT_COVERED, _TOO_MUCH, _USED_NONCE = range(5)

_Arguments = tuple[Any, ...]


@dataclass(slots=True, weakref_slot=True)
class Seat:
    """A player who is connected here. `nonce` is the last one used."""

    user_id: int
    pair: int
    words: Words
    nonce: int


class Settled(NamedTuple):
    """What stands in a bet's answer and in its row; `fresh` is False for a replay."""

    fresh: bool
    seq: int
    balance_minor: int
    payout_minor: int
    pair: int
    nonce: int
    roll: int
    won: bool


class DiceWallets:
    """The wallets, and the way to them: while one pipeline is under way, the next one gathers."""

    def __init__(self, redis: Redis, limits: Mapping[str, Limits]) -> None:
        self._redis = redis
        self._limits = limits
        self._sha = ""
        # All sockets of a player share a seat, and so the count of nonces.
        self._seats: WeakValueDictionary[int, Seat] = WeakValueDictionary()
        self._waiting: list[tuple[_Arguments, asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Give Redis the script."""
        self._sha = await self._redis.script_load(SCRIPT)

    async def seat(self, token: str) -> Seat | None:
        """The player whose token it is."""
        user_id = await self._redis.get(f"t:{token}")
        if user_id is None:
            return None
        fields = ("server_seed", "client_seed", "pair", "nonce")
        values = await self._redis.hmget(f"w:{int(user_id)}", fields)
        server_seed, client_seed, pair, nonce = (
            value.decode() for value in values if isinstance(value, bytes)
        )
        words = Words(server_seed, client_seed)
        seat = Seat(int(user_id), int(pair), words, int(nonce))
        return self._seats.setdefault(seat.user_id, seat)

    async def place(self, seat: Seat, command: RollDice) -> Settled:
        """Settle a bet. Raises Failure."""
        if not is_client_made(command.request_id):
            raise Failure(MALFORMED, field="request_id")
        win_minor = check_wager(command, DICE.most, self._limits)
        for _ in range(_TRIES):
            seat.nonce += 1
            nonce = seat.nonce
            roll = odds.roll(seat.words.first(nonce))
            won = odds.wins(roll, command.target, command.direction)
            payout_minor = win_minor if won else 0
            code, *rest = await self._bet(
                f"w:{seat.user_id}",
                f"r:{seat.user_id}:{command.request_id}",
                *(command.currency, command.stake, payout_minor, win_minor, nonce, _REMEMBERED_S),
                f"{command.stake}:{payout_minor}:{seat.pair}:{nonce}:{roll}:{command.target}"
                f":{command.direction.value}:{command.currency}",
            )
            if code == _NEW:
                seq, balance = rest
                return Settled(True, seq, balance, payout_minor, seat.pair, nonce, roll, won)
            if code == _KNOWN:
                return _replay(rest[0].decode(), command)
            if code == _NOT_COVERED:
                raise Failure(INSUFFICIENT_BALANCE, available=rest[0])
            if code == _TOO_MUCH:
                raise Failure(BALANCE_LIMIT)
            assert code == _USED_NONCE
            seat.nonce = max(seat.nonce, rest[0])
        raise Failure(OVERLOADED)

    def _bet(self, *arguments: Any) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((arguments, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        return answer

    async def _send(self) -> None:
        """Send what waits until nothing does. One pipeline at a time keeps nonces in order."""
        while self._waiting:
            sent, self._waiting = self._waiting, []
            pipeline = self._redis.pipeline(transaction=False)
            for arguments, _ in sent:
                pipeline.evalsha(self._sha, 2, *arguments)
            try:
                answers = await pipeline.execute(raise_on_error=False)
            except Exception as error:  # noqa: BLE001 - it is everybody's who waits for this pipeline
                answers = [error] * len(sent)
            for (_, waiter), answer in zip(sent, answers, strict=True):
                _give(waiter, answer)
        self._sending = None


def _give(waiter: asyncio.Future[Any], answer: Any) -> None:
    if waiter.done():
        return
    if isinstance(answer, Exception):
        waiter.set_exception(answer)
    else:
        waiter.set_result(answer)


def _replay(remembered: str, command: RollDice) -> Settled:
    """The first answer again, unless another bet was meant."""
    *numbers, direction, currency = remembered.split(":")
    seq, balance, stake, payout, pair, nonce, roll, target = map(int, numbers)
    same = RollDice(stake, currency, target, Direction(direction), command.request_id) == command
    if not same:
        raise Failure(REQUEST_MISMATCH)
    won = odds.wins(roll, target, command.direction)
    return Settled(False, seq, balance, payout, pair, nonce, roll, won)
