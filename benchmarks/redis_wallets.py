"""Players whose wallets are in Redis, and whether Redis and the table behind it agree."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import count
from secrets import token_hex
from typing import Any, Final

import asyncpg
import msgspec
from redis.asyncio import Redis
from redis.typing import EncodableT, FieldT

from actors.dice.verify import Choice, verify
from benchmarks.ledger import LedgerError
from benchmarks.players import CURRENCY, Player
from protocol.commands.dice import Direction

# As much as a pull of Pitboss's faucet gives.
FUNDS_MINOR: Final = 1_000_00
# What is written behind is written within a tenth of a second, unless PostgreSQL lags far behind.
_FLUSH_LIMIT_S: Final = 20.0
_LOOK_S: Final = 0.05

_COUNT: Final = "select count(*) from wallet_entries where wallet_id = any($1)"
_WALLETS: Final = """
    select wallet_id, count(*) as bets, max(seq) as seq, sum(available_delta)::bigint as delta,
           (array_agg(available_after order by seq desc))[1] as balance
    from wallet_entries where wallet_id = any($1) and kind = 'bet' group by wallet_id
"""
_BETS: Final = "select * from wallet_entries where wallet_id = $1 order by seq"


class RedisWallets:
    """All players that were ever made in one Redis, with the table behind it."""

    def __init__(self, redis: Redis, database_url: str) -> None:
        self._redis = redis
        self._database_url = database_url
        self._ids = count(1)

    async def enlist(self, players: int) -> list[Player]:
        """Make new players, each with funds, seeds and a token."""
        made = []
        async with self._redis.pipeline(transaction=False) as pipeline:
            for _ in range(players):
                player = Player(next(self._ids), token_hex(32))
                wallet: dict[FieldT, EncodableT] = {
                    CURRENCY: FUNDS_MINOR,
                    "seq": 0,
                    "nonce": -1,
                    "pair": 1,
                    "server_seed": token_hex(32),
                    "client_seed": token_hex(16),
                }
                pipeline.hset(f"w:{player.user_id}", mapping=wallet)
                pipeline.set(f"t:{player.token}", player.user_id)
                made.append(player)
            await pipeline.execute()
        return made

    async def check(self, players: Sequence[Player], acknowledged: int) -> None:
        """Wait until all is written, and compare.

        Raises:
            LedgerError: Rows are missing, or they do not add up to what Redis has, or a bet is not
                what its seeds say.
        """
        connection = await asyncpg.connect(self._database_url)
        try:
            user_ids = [player.user_id for player in players]
            await _until_written(connection, user_ids, acknowledged)
            rows = {row["wallet_id"]: row for row in await connection.fetch(_WALLETS, user_ids)}
            for user_id in user_ids:
                await self._check_wallet(user_id, rows.get(user_id))
            busiest = max(rows.values(), key=lambda row: row["bets"])["wallet_id"]
            await self._check_bets(busiest, await connection.fetch(_BETS, busiest))
        finally:
            await connection.close()

    async def _check_wallet(self, user_id: int, row: Mapping[str, Any] | None) -> None:
        """The balance is the funds and all that was won and lost; the rows have no gap."""
        balance, seq = map(int, await self._wallet(user_id, CURRENCY, "seq"))
        if row is None:
            expected, found = (FUNDS_MINOR, 0, 0, FUNDS_MINOR), (balance, seq, seq, balance)
        else:
            expected = (FUNDS_MINOR + row["delta"], row["bets"], row["seq"], row["balance"])
            found = (balance, seq, seq, balance)
        if found != expected:
            raise LedgerError(f"wallet {user_id}: its rows say {expected}, Redis has {found}")

    async def _wallet(self, user_id: int, *fields: str) -> list[str]:
        values = await self._redis.hmget(f"w:{user_id}", fields)
        return [value.decode() for value in values if isinstance(value, bytes)]

    async def _check_bets(self, user_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Every bet of a wallet is what its seeds say."""
        server_seed, client_seed = await self._wallet(user_id, "server_seed", "client_seed")
        for row in rows:
            chosen = msgspec.json.decode(row["parameters"])
            choice = Choice(chosen["target"], Direction(chosen["direction"]), row["stake"])
            verified = verify(server_seed, client_seed, row["nonce"], choice)
            expected = {"roll": verified.roll, "won": verified.won}
            found = msgspec.json.decode(row["outcome"])
            if (found, row["payout"]) != (expected, verified.payout_minor):
                raise LedgerError(f"bet {user_id}-{row['seq']} is not what its seeds say")


async def _until_written(
    connection: asyncpg.Connection, user_ids: Sequence[int], acknowledged: int
) -> None:
    rows = 0
    loop = asyncio.get_running_loop()
    limit_s = loop.time() + _FLUSH_LIMIT_S
    while loop.time() < limit_s:
        rows = await connection.fetchval(_COUNT, user_ids)
        if rows >= acknowledged:
            break
        await asyncio.sleep(_LOOK_S)
    if rows != acknowledged:
        raise LedgerError(f"{acknowledged} bets were acknowledged, and the table has {rows}")
