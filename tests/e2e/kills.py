"""Killing the server under load again and again, and counting what it owed its players.

`python -m tests.e2e.kills --kills 25` runs it alone and prints the counts.
"""

import argparse
import asyncio
import base64
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

from storage.audit import audit
from storage.embedded import EmbeddedPostgres
from storage.vault import Vault
from tests.support.pitboss_process import PitbossProcess
from tests.support.promises import Fields, kept

PLAYERS: Final = 8
# Bets that one player has under way at once, so that every kill leaves some without an answer.
PIPELINE: Final = 8
# Until the next kill: a few hundred bets, some of which every kill leaves without an answer.
PLAY_S: Final = (0.1, 0.4)
# Every so often PostgreSQL is killed as well, and recovers from its log.
POSTGRES_EVERY: Final = 5

# Every so often a player tips another instead: money that two wallets have to agree on.
TIP_EVERY: Final = 10


@dataclass
class Player:
    """A player, what they asked for, and what they were promised."""

    token: str
    username: str
    asked: int = 0
    promised: dict[str, Fields] = field(default_factory=dict)
    unanswered: dict[str, tuple[str, Fields]] = field(default_factory=dict)

    def next_command(self, friend: str) -> tuple[str, Fields]:
        """A bet, or now and then a tip."""
        self.asked += 1
        request = {"currency": "PLAY", "request_id": str(uuid4())}
        if self.asked % TIP_EVERY == 0:
            return "wallet:tip", {"to": friend, "amount": 7, **request}
        return "dice:roll", {"stake": 10, "target": 4950, "direction": "under", **request}

    def next_step(self, games: list[Fields]) -> tuple[str, Fields]:
        """A game of mines begun, a tile picked, or after two picks a cash-out."""
        request = {"currency": "PLAY", "request_id": str(uuid4())}
        if not games:
            return "mines:start", {"stake": 10, "mines": 3, **request}
        picks = len(games[0]["revealed"])
        if picks < 2:
            return "mines:reveal", {"tile": picks, **request}
        return "mines:cashout", request


@dataclass
class Report:
    """What came of it."""

    kills: int = 0
    postgres_kills: int = 0
    acknowledged: int = 0
    resent: int = 0
    games_of_mines: int = 0
    lost: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


async def run(folder: Path, kills: int, seed: int) -> Report:
    """Play, kill and restart `kills` times; then compare the ledger with what was promised."""
    chance = random.Random(seed)
    report = Report()
    server = PitbossProcess(folder, PITBOSS_BETS_PER_SECOND="100000", PITBOSS_DEMO_PLAYER="false")
    await asyncio.to_thread(server.start)
    players = await _enrol(server.url)
    for number in range(1, kills + 1):
        await _play_until_killed(server, players, report, chance.uniform(*PLAY_S))
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
                session = (await answer.json())["data"]
            token = session["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            pull = {"currency": "PLAY", "request_id": str(uuid4())}
            async with http.post("wallet/faucet", json=pull, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
            players.append(Player(token, session["user"]["username"]))
    return players


async def _connect(url: str, player: Player) -> socketio.AsyncClient:
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(url, auth={"token": player.token}, transports=["websocket"])
    return client


async def _play_until_killed(
    server: PitbossProcess, players: list[Player], report: Report, seconds: float
) -> None:
    clients = [await _connect(server.url, player) for player in players]
    playing = [
        asyncio.create_task(_play(client, player, players[index - 1].username))
        for index, (client, player) in enumerate(zip(clients, players, strict=True))
        for _ in range(PIPELINE)
    ]
    playing += [
        asyncio.create_task(_dig(client, player))
        for client, player in zip(clients, players, strict=True)
    ]
    await asyncio.sleep(seconds)
    server.kill()
    for client in clients:
        await client.shutdown()
    for task in playing:
        task.cancel()
    ends = await asyncio.gather(*playing, return_exceptions=True)
    # A broken connection is what a kill looks like; a refusal is not.
    report.refused.extend(str(end) for end in ends if isinstance(end, AssertionError))


async def _play(client: socketio.AsyncClient, player: Player, friend: str) -> None:
    while True:
        name, fields = player.next_command(friend)
        player.unanswered[fields["request_id"]] = (name, fields)
        await _ask(client, player, name, fields)


async def _dig(client: socketio.AsyncClient, player: Player) -> None:
    """Play mines, one step after the other, going on with the game that a kill left open."""
    while True:
        answer = await client.call("mines:state", {"currency": "PLAY"}, timeout=20)
        if answer["success"]:
            name, fields = player.next_step(answer["data"]["games"])
            player.unanswered[fields["request_id"]] = (name, fields)
            while fields["request_id"] in player.unanswered:
                await _ask(client, player, name, fields)


async def _ask(client: socketio.AsyncClient, player: Player, name: str, fields: Fields) -> None:
    answer = await client.call(name, fields, timeout=20)
    if not answer["success"] and answer["error"]["temporary"]:
        # A slow disk, say. It stays unanswered, and is asked again with the same id.
        return
    assert answer["success"], answer
    player.promised[fields["request_id"]] = answer["data"]
    del player.unanswered[fields["request_id"]]


async def _resend(url: str, players: list[Player]) -> int:
    """Ask again, with the same request ids, for what was never answered."""
    resent = 0
    for player in players:
        client = await _connect(url, player)
        for name, fields in list(player.unanswered.values()):
            while fields["request_id"] in player.unanswered:
                await _ask(client, player, name, fields)
            resent += 1
        await client.disconnect()
    return resent


def _kill_postgres(folder: Path) -> None:
    pid = int((folder / "data" / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


async def _compare(folder: Path, players: list[Player], report: Report) -> None:
    embedded = EmbeddedPostgres(folder / "data")
    dsn = await embedded.start()
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select * from wallet_entries"
            " where kind in ('bet', 'hold', 'reveal', 'settle', 'tip_sent')"
        )
        key = base64.b64decode((folder / "data" / "seed_encryption_key").read_text())
        audited = await audit(dsn, Vault(key))
        assert audited.bets == sum(row["kind"] in {"bet", "hold"} for row in rows)
        report.games_of_mines = sum(row["kind"] == "settle" for row in rows)
        report.findings = [str(finding) for finding in audited.findings]
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


def _check(report: Report, request_id: str, promised: Fields, rows: list[Any]) -> None:
    if not rows:
        report.lost.append(request_id)
        return
    if len(rows) > 1:
        report.duplicated.append(request_id)
    if not kept(promised, rows[0]):
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
    broken = report.lost or report.changed or report.duplicated or report.refused
    broken = broken or report.findings
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
