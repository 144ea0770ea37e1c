"""A server is killed while a crash round takes bets, and while one runs: by the written rule."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
import socketio

from storage.audit import audit
from storage.embedded import EmbeddedPostgres
from storage.vault import Vault
from tests.e2e.player import Fields, playing
from tests.support.pitboss_process import PitbossProcess

# Far more than it takes; only a hang reaches it.
LIMIT_S = 60
# Four seconds after the start.
MOST = 130
TABLE = {
    "number": 1,
    "name": "Felt",
    "currency": "PLAY",
    "least_stake": 1,
    "most_stake": 10_000,
    "bankroll": 100_000_000,
    "betting_ms": 1_500,
    "pause_ms": 100,
    "most_multiplier": MOST,
}
STAKE = 1_000
# By hand; by a target that most rounds reach; by hand, who never does.
TARGETS = (None, 101, None)


@pytest.fixture
def server(stocked_path: Path) -> Any:
    """A server with one table, stopped in the end."""
    process = PitbossProcess(stocked_path, PITBOSS_CRASH_TABLES=json.dumps([TABLE]))
    process.start()
    yield process
    process.stop()


async def enrol(url: str) -> list[str]:
    """The tokens of three players with 100,000 each."""
    tokens = []
    async with aiohttp.ClientSession(f"{url}/api/v1/") as http:
        for _ in TARGETS:
            async with http.post("auth/guest") as answer:
                tokens.append((await answer.json())["data"]["access_token"])
            headers = {"Authorization": f"Bearer {tokens[-1]}"}
            pull = {"currency": "PLAY", "request_id": str(uuid4())}
            async with http.post("wallet/faucet", json=pull, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
    return tokens


@asynccontextmanager
async def seated(url: str, tokens: list[str]) -> AsyncIterator[list[socketio.AsyncClient]]:
    """All players on their sockets."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(playing(url, token)) for token in tokens]


async def ok(client: socketio.AsyncClient, name: str, body: Any) -> Fields:
    """A command's data, once it is taken."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            answer: Fields = await client.call(name, body, timeout=LIMIT_S)
            if answer["success"]:
                data: Fields = answer["data"]
                return data
            assert answer["error"]["temporary"], answer
            await asyncio.sleep(0.05)


async def state_in(client: socketio.AsyncClient, phase: str) -> Fields:
    """The table's state as soon as it is in this phase."""
    async with asyncio.timeout(LIMIT_S):
        while (state := await ok(client, "crash:state", {"table": 1}))["phase"] != phase:
            await asyncio.sleep(0.005)
    return state


async def bet_all(clients: list[socketio.AsyncClient]) -> str:
    """Everybody bets on the next round that opens; its id."""
    state = await state_in(clients[0], "betting")
    while state["deadline_ms"] - state["at_ms"] < 1_000:
        await state_in(clients[0], "crashed")
        state = await state_in(clients[0], "betting")
    round_id: str = state["round_id"]
    for client, target in zip(clients, TARGETS, strict=True):
        bet = {"round_id": round_id, "stake": STAKE, "currency": "PLAY", "auto_cashout": target}
        await ok(client, "crash:bet", {**bet, "request_id": str(uuid4())})
    return round_id


async def balances(url: str, tokens: list[str]) -> list[int]:
    """What everybody has once nothing is held any more."""
    async with seated(url, tokens) as clients, asyncio.timeout(LIMIT_S):
        while True:
            shown = [(await ok(client, "wallet:get", None))["balances"][0] for client in clients]
            if not any(balance["held"] for balance in shown):
                return [balance["available"] for balance in shown]
            await asyncio.sleep(0.05)


async def kill_and_restart(server: PitbossProcess) -> None:
    """As a power cut of the process would."""
    server.kill()
    await asyncio.to_thread(server.start)


async def record_of(url: str, token: str, round_id: str) -> Fields:
    """A round that is over."""
    number = int(round_id.split("-")[1])
    async with playing(url, token) as client, asyncio.timeout(LIMIT_S):
        page = await ok(client, "crash:history", {"table": 1, "before": number + 1, "limit": 1})
    (record,) = page["rounds"]
    assert record["round_id"] == round_id
    return dict(record)


async def findings(folder: Path) -> tuple[list[Any], list[Any]]:
    """What the audit finds once the server has stopped, and how many ends each hold has."""
    embedded = EmbeddedPostgres(folder / "data")
    dsn = await embedded.start()
    connection = await asyncpg.connect(dsn)
    try:
        key = base64.b64decode((folder / "data" / "seed_encryption_key").read_text())
        report = await audit(dsn, Vault(key))
        ends = await connection.fetch(
            "select h.wallet_id, h.seq, count(e.seq) as ends from wallet_entries h"
            " left join wallet_entries e on e.wallet_id = h.wallet_id and e.hold = h.seq"
            " where h.kind = 'hold' group by 1, 2 having count(e.seq) <> 1"
        )
    finally:
        await connection.close()
        await embedded.stop()
    return report.findings, ends


async def test_a_round_found_betting_is_refunded(
    server: PitbossProcess, stocked_path: Path
) -> None:
    tokens = await enrol(server.url)
    had = await balances(server.url, tokens)
    async with seated(server.url, tokens) as clients:
        round_id = await bet_all(clients)
        await kill_and_restart(server)
    assert await balances(server.url, tokens) == had
    record = await record_of(server.url, tokens[0], round_id)
    assert (record["voided"], record["bets"], record["paid"]) == (True, 3, 0)
    await asyncio.to_thread(server.stop)
    assert await findings(stocked_path) == ([], [])


async def test_a_round_found_running_keeps_its_cash_outs_and_refunds_the_rest(
    server: PitbossProcess, stocked_path: Path
) -> None:
    tokens = await enrol(server.url)
    by_target = STAKE * 101 // 100
    voided = False
    while not voided:
        had = await balances(server.url, tokens)
        async with seated(server.url, tokens) as clients:
            round_id = await bet_all(clients)
            await state_in(clients[0], "running")
            answer = await clients[0].call("crash:cashout", {"round_id": round_id}, timeout=LIMIT_S)
            await kill_and_restart(server)
        has = await balances(server.url, tokens)
        record = await record_of(server.url, tokens[0], round_id)
        voided = record["voided"]
        by_hand = answer["data"]["payout"] if answer["success"] else 0
        # One in twenty is over before it can be killed: then nobody is refunded.
        otherwise = STAKE if voided else 0
        first, second, third = (now - before + STAKE for now, before in zip(has, had, strict=True))
        assert first == (by_hand if answer["success"] else otherwise)
        # It may have reached its target before the server was killed.
        assert second in {by_target, otherwise}
        assert third in ({otherwise} if voided else {otherwise, STAKE * MOST // 100})
    await asyncio.to_thread(server.stop)
    assert await findings(stocked_path) == ([], [])
