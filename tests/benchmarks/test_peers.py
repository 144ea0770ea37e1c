"""The servers that Pitboss is compared with: they settle bets as it does, or the check says so."""

import asyncio
import json
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
import socketio
from redis.asyncio import Redis

from benchmarks.contenders import (
    NODE,
    NODE_SYNCED,
    ONE_BY_ONE,
    PITBOSS,
    STARTERS,
    Contender,
    available,
)
from benchmarks.crash_losses import PROMISES
from benchmarks.ledger import LedgerError
from benchmarks.peer_process import node_command, node_versions
from benchmarks.peers import write_behind
from benchmarks.peers.dice_wallets import DiceWallets
from benchmarks.peers.python_socketio_bets import Table
from benchmarks.peers.write_behind import WriteBehind
from benchmarks.players import CURRENCY, Player, enlist
from benchmarks.redis_wallets import FUNDS_MINOR, RedisWallets
from benchmarks.server_process import ServerError, own_storage, serving
from server.settings import DEFAULT_LIMITS

pytestmark = pytest.mark.usefixtures("copied_cluster")

TIMEOUT_S = 10
BET = {"stake": 100, "currency": CURRENCY, "target": 5_000, "direction": "over"}


def bet(**changed: Any) -> dict[str, Any]:
    return {**BET, "request_id": str(uuid4()), **changed}


@asynccontextmanager
async def seated(contender: Contender, token: str) -> AsyncIterator[socketio.AsyncClient]:
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(contender.url, auth={"token": token}, transports=["websocket"])
    try:
        yield client
    finally:
        await client.disconnect()


async def roll(client: socketio.AsyncClient, command: dict[str, Any]) -> Any:
    return await client.call("dice:roll", command, timeout=TIMEOUT_S)


NAMES = [
    pytest.param(name, marks=pytest.mark.javascript if name in {NODE, NODE_SYNCED} else ())
    for name in STARTERS
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_a_contender_settles_bets_as_pitboss_does(name: str) -> None:
    if name not in available():
        pytest.skip(f"{name} cannot be started here")
    async with STARTERS[name]() as contender:
        (player, other) = await contender.enlist(2)
        async with seated(contender, player.token) as client, seated(contender, other.token):
            await _plays(client, player)
            await _is_refused(client)
        await _strangers_stay_out(contender)
        await contender.check([player, other], 3)
        with pytest.raises(LedgerError, match="acknowledged"):
            await contender.check([player, other], 2)


async def _plays(client: socketio.AsyncClient, player: Player) -> None:
    """Three bets, one of them asked for twice."""
    command = bet()
    first = await roll(client, command)
    settled = first["data"]
    assert first["success"] is True
    assert set(settled) == {
        *("game", "bet_id", "roll", "won", "target", "direction", "currency"),
        *("stake", "payout", "pair", "nonce", "balance"),
    }
    assert settled["payout"] == (198 if settled["won"] else 0)
    assert settled["won"] is (settled["roll"] > BET["target"])
    assert settled["balance"]["available"] == FUNDS_MINOR - 100 + settled["payout"]
    assert settled["bet_id"] == f"{player.user_id}-{settled['balance']['seq']}"

    again = await roll(client, command)
    assert again["data"] == settled

    others = await asyncio.gather(roll(client, bet()), roll(client, bet(direction="under")))
    assert len({one["data"]["nonce"] for one in [first, *others]}) == 3

    changed = await roll(client, {**command, "stake": 101})
    assert changed["error"]["code"] == "request_mismatch"


async def _is_refused(client: socketio.AsyncClient) -> None:
    for command, code in (
        (bet(stake=FUNDS_MINOR * 2), "insufficient_balance"),
        (bet(stake=0), "malformed"),
        (bet(stake=1.5), "malformed"),
        (bet(stake="1"), "malformed"),
        (bet(target=10_001), "malformed"),
        (bet(direction="up"), "malformed"),
        (bet(request_id="1"), "malformed"),
        (bet(request_id="00000000-0000-8000-8000-000000000000"), "malformed"),
        (bet(extra=1), "malformed"),
        (bet(currency="XXX"), "unknown_currency"),
        (bet(target=10_000), "target_out_of_range"),
        (bet(stake=10_000_01), "stake_too_large"),
        (bet(stake=10_000_00, target=9_990), "profit_too_large"),
    ):
        answer = await roll(client, command)
        assert answer["success"] is False, command
        error = answer["error"]
        assert error["code"] == code, command
        assert {"number", "message", "temporary", "details"} <= set(error)


async def _strangers_stay_out(contender: Contender) -> None:
    with pytest.raises(socketio.exceptions.ConnectionError):
        async with seated(contender, "nobody's"):
            pass


@pytest.mark.slow
@pytest.mark.parametrize(("name", "alone"), [(ONE_BY_ONE, True), (PITBOSS, False)])
async def test_one_by_one_gives_each_bet_a_transaction(name: str, alone: bool) -> None:
    async with STARTERS[name]() as contender:
        (player,) = await contender.enlist(1)
        async with seated(contender, player.token) as client:
            await asyncio.gather(*(roll(client, bet(stake=1)) for _ in range(50)))
        connection = await asyncpg.connect(contender.database_url)
        try:
            transactions = await connection.fetchval(
                "select count(distinct xmin::text) from wallet_entries where kind = 'bet'"
            )
        finally:
            await connection.close()
    assert (transactions == 50) is alone


def test_every_contender_has_a_promise() -> None:
    assert set(PROMISES) == set(STARTERS)


class House:
    """The python-socketio server's parts in this process, with one player who has bet."""

    def __init__(self, redis: Redis, database_url: str, connection: asyncpg.Connection) -> None:
        self.redis = redis
        self.connection = connection
        self.wallets = RedisWallets(redis, database_url)
        self._dice = DiceWallets(redis, DEFAULT_LIMITS)
        self._rows = WriteBehind(connection)
        self._table = Table(self._dice, self._rows)
        self.player: Player

    async def play(self, bets: int) -> None:
        """Have a new player place some bets."""
        await self._dice.start()
        (self.player,) = await self.wallets.enlist(1)
        await self._table.connect("socket", {}, {"token": self.player.token})
        for _ in range(bets):
            assert (await self.again())["success"] is True
        await self._rows.flush()

    async def again(self) -> dict[str, Any]:
        """Have the player place one more."""
        return await self._table.roll("socket", bet())


@pytest_asyncio.fixture
async def house(redis_url: str, database_url: str) -> AsyncIterator[House]:
    connection = await asyncpg.connect(database_url)
    async with Redis.from_url(redis_url) as redis:
        yield House(redis, database_url, connection)
    await connection.close()


async def test_rows_and_wallets_that_agree_are_right(house: House) -> None:
    await house.play(5)
    await house.wallets.check([house.player], 5)


async def test_a_balance_that_its_rows_do_not_explain_is_found(house: House) -> None:
    await house.play(5)
    await house.redis.hincrby(f"w:{house.player.user_id}", CURRENCY, 1)
    with pytest.raises(LedgerError, match="Redis has"):
        await house.wallets.check([house.player], 5)


async def test_a_roll_that_its_seeds_do_not_give_is_found(house: House) -> None:
    await house.play(5)
    await house.connection.execute(
        'update wallet_entries set outcome = \'{"roll": 10000, "won": true}\' where seq = 3'
    )
    with pytest.raises(LedgerError, match="seeds"):
        await house.wallets.check([house.player], 5)


async def test_a_payout_that_its_roll_does_not_earn_is_found(house: House) -> None:
    await house.play(5)
    await house.connection.execute("update wallet_entries set payout = payout + 1 where seq = 3")
    with pytest.raises(LedgerError, match="seeds"):
        await house.wallets.check([house.player], 5)


async def test_rows_that_are_being_written_wait_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "_MOST_ROWS", 2)
    taking = asyncio.Event()

    class Connection:
        async def copy_records_to_table(self, *_: Any, **__: Any) -> None:
            await taking.wait()

    rows = WriteBehind(cast("asyncpg.Connection", Connection()))
    rows.add((1,))
    writing = asyncio.create_task(rows.flush())
    await asyncio.sleep(0)
    full = [rows.full]
    rows.add((2,))
    full.append(rows.full)
    taking.set()
    await writing
    assert [*full, rows.full] == [False, True, False]


# A PostgreSQL that takes rows when it is told to.
_NODE_ROWS: Final = """
import { Writable } from "node:stream";
import { WriteBehind } from "./write_behind.js";
const rows = new WriteBehind("");
let take;
rows.client.connect = async () => {};
rows.client.query = () => new Writable({ write: (_chunk, _encoding, done) => (take = done) });
const add = (count) => { while (count--) rows.add({}, {}, {}, 0); };
const until = async (met) => { while (!met()) await new Promise((go) => setTimeout(go, 5)); };
await rows.start();
add(199_999);
await until(() => take);
const said = [rows.full];
add(1);
said.push(rows.full);
take();
await until(() => !rows.full);
console.log(JSON.stringify([...said, rows.full]));
process.exit();
"""


@pytest.mark.javascript
async def test_nodes_rows_that_are_being_written_wait_too() -> None:
    node, script = await node_command("rows.js")
    process = await asyncio.create_subprocess_exec(
        *(node, "--input-type=module", "--eval", _NODE_ROWS),
        cwd=Path(script).parent,
        stdout=PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        said, _ = await process.communicate()
    assert json.loads(said) == [False, True, False]


@pytest.mark.javascript
async def test_node_says_whether_its_websockets_use_native_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = (await node_versions())["bufferutil"]
    assert version.endswith((" native", " in JavaScript"))
    monkeypatch.setenv("WS_NO_BUFFER_UTIL", "1")
    assert (await node_versions())["bufferutil"].endswith(" in JavaScript")


@pytest.mark.slow
@pytest.mark.parametrize("name", [PITBOSS, ONE_BY_ONE])
async def test_settings_of_the_caller_are_not_those_of_a_measured_server(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PITBOSS_SHARDS", "none")
    monkeypatch.setenv("PITBOSS_SEED_ENCRYPTION_KEY", "no key")
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    async with STARTERS[name]() as contender:
        (player,) = await contender.enlist(1)
        async with seated(contender, player.token) as client:
            assert (await roll(client, bet()))["success"] is True
        await contender.put_in_order()
        assert contender.audit is not None
        await contender.audit()
        await _give_it_away(contender.database_url)
        with pytest.raises(LedgerError, match="audit"):
            await contender.audit()


@pytest.mark.slow
async def test_a_measured_server_that_ends_by_itself_is_said_to_have() -> None:
    async def measure_what_is_killed() -> None:
        async with own_storage() as storage, serving(storage) as server:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await enlist(server.url, 1)

    with pytest.raises(ServerError, match="ended by itself, with -9"):
        await measure_what_is_killed()


async def _give_it_away(database_url: str) -> None:
    """Change what a bet has paid."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute("update wallet_entries set payout = payout + 1 where kind = 'bet'")
    finally:
        await connection.close()


async def test_a_nonce_that_another_process_has_taken_is_drawn_anew(house: House) -> None:
    await house.play(1)
    await house.redis.hset(f"w:{house.player.user_id}", "nonce", "7")
    answer = await house.again()
    assert answer["data"]["nonce"] == 8
