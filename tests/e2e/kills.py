"""Killing the server under load again and again, and counting what it owed its players.

`python -m tests.e2e.kills --kills 25` runs it alone and prints the counts.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import socketio

from storage.embedded import EmbeddedPostgres
from tests.support.pitboss_process import PitbossProcess

PLAYERS: Final = 8
# Bets that one player has under way at once, so that every kill leaves some without an answer.
PIPELINE: Final = 8
# Every so often PostgreSQL is killed as well, and recovers from its log.
POSTGRES_EVERY: Final = 5

Bet = dict[str, Any]


@dataclass
class Player:
    """A player, what they asked for, and what they were promised."""

    token: str
    promised: dict[str, Bet] = field(default_factory=dict)
    unanswered: dict[str, Bet] = field(default_factory=dict)


@dataclass
class Report:
    """What came of it."""

    kills: int = 0
    postgres_kills: int = 0
    acknowledged: int = 0
    resent: int = 0
    lost: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)


async def run(folder: Path, kills: int, seed: int) -> Report:
    """Play, kill and restart `kills` times; then compare the ledger with what was promised."""
    chance = random.Random(seed)
    report = Report()
    server = PitbossProcess(folder, PITBOSS_BETS_PER_SECOND="100000", PITBOSS_DEMO_PLAYER="false")
    await asyncio.to_thread(server.start)
    players = await _enrol(server.url)
    for number in range(1, kills + 1):
        await _play_until_killed(server, players, chance.uniform(0.2, 0.8))
        report.kills += 1
        if number % POSTGRES_EVERY == 0:
            _kill_postgres(folder)
            report.postgres_kills += 1
        await asyncio.to_thread(server.start)
        report.resent += await _resend(server.url, players)
    await asyncio.to_thread(server.stop)
    await _compare(folder, players, report)
    return report


async def _enrol(url: str) -> list[Player]:
    players = []
    async with aiohttp.ClientSession(f"{url}/api/v1/") as http:
        for _ in range(PLAYERS):
            async with http.post("auth/guest") as answer:
                token = (await answer.json())["data"]["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            pull = {"currency": "PLAY", "request_id": str(uuid4())}
            async with http.post("wallet/faucet", json=pull, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
            players.append(Player(token))
    return players


async def _connect(url: str, player: Player) -> socketio.AsyncClient:
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(url, auth={"token": player.token}, transports=["websocket"])
    return client


async def _play_until_killed(server: PitbossProcess, players: list[Player], seconds: float) -> None:
    clients = [await _connect(server.url, player) for player in players]
    playing = [
        asyncio.create_task(_bet_on(client, player))
        for client, player in zip(clients, players, strict=True)
        for _ in range(PIPELINE)
    ]
    await asyncio.sleep(seconds)
    server.kill()
    for client in clients:
        await client.shutdown()
    for task in playing:
        task.cancel()
    await asyncio.gather(*playing, return_exceptions=True)


async def _bet_on(client: socketio.AsyncClient, player: Player) -> None:
    while True:
        request_id = str(uuid4())
        bet = {
            "stake": 10,
            "currency": "PLAY",
            "target": 4950,
            "direction": "under",
            "request_id": request_id,
        }
        player.unanswered[request_id] = bet
        await _ask(client, player, request_id, bet)


async def _ask(client: socketio.AsyncClient, player: Player, request_id: str, bet: Bet) -> None:
    answer = await client.call("dice:roll", bet, timeout=20)
    assert answer["success"], answer
    player.promised[request_id] = answer["data"]
    del player.unanswered[request_id]


async def _resend(url: str, players: list[Player]) -> int:
    """Ask again, with the same request ids, for what was never answered."""
    resent = 0
    for player in players:
        client = await _connect(url, player)
        for request_id, bet in list(player.unanswered.items()):
            await _ask(client, player, request_id, bet)
            resent += 1
        await client.disconnect()
    return resent


def _kill_postgres(folder: Path) -> None:
    pid = int((folder / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


async def _compare(folder: Path, players: list[Player], report: Report) -> None:
    embedded = EmbeddedPostgres(folder / "data")
    connection = await asyncpg.connect(await embedded.start())
    try:
        rows = await connection.fetch("select * from wallet_entries where kind = 'bet'")
    finally:
        await connection.close()
        await embedded.stop()
    by_id: dict[UUID, list[Any]] = {}
    for row in rows:
        by_id.setdefault(row["request_id"], []).append(row)
    for player in players:
        for request_id, promised in player.promised.items():
            report.acknowledged += 1
            _check(report, request_id, promised, by_id.pop(UUID(request_id), []))
    # What is left was committed without being asked for, or counted for somebody else.
    report.duplicated.extend(map(str, by_id))


def _check(report: Report, request_id: str, promised: Bet, rows: list[Any]) -> None:
    if not rows:
        report.lost.append(request_id)
        return
    if len(rows) > 1:
        report.duplicated.append(request_id)
    row = rows[0]
    stored = (
        f"{row['wallet_id']}-{row['seq']}",
        row["payout"],
        json.loads(row["outcome"])["roll"],
        row["available_after"],
    )
    balance = promised["balance"]["available"]
    if stored != (promised["bet_id"], promised["payout"], promised["roll"], balance):
        report.changed.append(request_id)


def main() -> int:
    """Run it from the command line; the exit code is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pitboss-kills-") as folder:
        report = asyncio.run(run(Path(folder), arguments.kills, arguments.seed))
    sys.stdout.write(f"{report}\n")
    return 1 if report.lost or report.changed or report.duplicated else 0


if __name__ == "__main__":
    sys.exit(main())
