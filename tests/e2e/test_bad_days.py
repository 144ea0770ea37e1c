"""PostgreSQL goes away and comes back; the server drains; nobody loses a bet."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import socketio

from storage.embedded import EmbeddedPostgres
from tests.e2e.player import Fields, bet, playing
from tests.support.pitboss_process import PitbossProcess

# Far more than it takes; only a hang reaches it.
LIMIT_S = 60


async def settle(client: socketio.AsyncClient, fields: Fields) -> tuple[Fields, list[Fields]]:
    """Ask until there is a final answer; return it and the temporary errors before it."""
    errors: list[Fields] = []
    async with asyncio.timeout(LIMIT_S):
        while True:
            answer: Fields = await client.call("dice:roll", fields, timeout=LIMIT_S)
            if answer["success"] or not answer["error"]["temporary"]:
                return answer, errors
            errors.append(answer["error"])
            await asyncio.sleep(0.05)


def postmaster(server: PitbossProcess) -> int:
    path = server.folder / "data" / "postgres" / "postmaster.pid"
    return int(path.read_text().split()[0])


async def lane_backends(server: PitbossProcess) -> list[int]:
    embedded = EmbeddedPostgres(server.folder / "data")
    connection = await asyncpg.connect(await embedded.start())
    try:
        rows = await connection.fetch(
            "select pid from pg_stat_activity where application_name like 'pitboss-lane-%'"
        )
    finally:
        await connection.close()
        await embedded.stop()
    return [row["pid"] for row in rows]


async def test_a_killed_postgres_is_revived_and_balances_are_right(
    server: PitbossProcess,
) -> None:
    async with playing(server.url, server.token) as client:
        before, _ = await settle(client, bet())
        os.kill(postmaster(server), signal.SIGKILL)
        requests = [bet() for _ in range(5)]
        answers = [await settle(client, fields) for fields in requests]
        assert any(errors for _, errors in answers)
        for _, errors in answers:
            assert {error["code"] for error in errors} <= {"storage_unavailable"}
        balance = before["data"]["balance"]["available"]
        for answer, _ in answers:
            data = answer["data"]
            balance += data["payout"] - data["stake"]
            assert data["balance"]["available"] == balance
        for fields, (answer, _) in zip(requests, answers, strict=True):
            again, _ = await settle(client, fields)
            assert again["data"] == answer["data"]


async def test_a_postgres_that_hangs_gives_temporary_errors_until_it_moves_on(
    server: PitbossProcess,
) -> None:
    backends = await lane_backends(server)
    assert len(backends) == 2
    async with playing(server.url, server.token) as client:
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        try:
            fields = bet()
            answer: Any = await client.call("dice:roll", fields, timeout=LIMIT_S)
            assert answer["error"]["code"] == "storage_unavailable"
            assert answer["error"]["temporary"]
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
        first, _ = await settle(client, fields)
        history: Any = await client.call("bet:history", {"limit": 10}, timeout=LIMIT_S)
        assert [one["bet_id"] for one in history["data"]["bets"]] == [first["data"]["bet_id"]]


async def test_a_drain_commits_what_was_accepted_and_ends_with_zero(stocked_path: Path) -> None:
    server = PitbossProcess(stocked_path, PITBOSS_BETS_PER_SECOND="100000")
    server.start()
    told, warm = asyncio.Event(), asyncio.Event()
    answers: list[Fields] = []

    async with playing(server.url, server.token) as client:
        client.on("server:draining", lambda _data: told.set())

        async def play() -> None:
            while True:
                answers.append(await client.call("dice:roll", bet(), timeout=LIMIT_S))
                if len(answers) == 20:
                    warm.set()

        task = asyncio.create_task(play())
        async with asyncio.timeout(LIMIT_S):
            await warm.wait()
        server.terminate()
        async with asyncio.timeout(LIMIT_S):
            await told.wait()
        code = await asyncio.to_thread(server.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert code == 0
    token = server.token
    server.start()
    try:
        async with playing(server.url, token) as client:
            stored: set[str] = set()
            before = None
            while True:
                page: Any = await client.call(
                    "bet:history", {"limit": 100, "before": before}, timeout=LIMIT_S
                )
                stored.update(one["bet_id"] for one in page["data"]["bets"])
                before = page["data"]["next_before"]
                if before is None:
                    break
        acknowledged = {answer["data"]["bet_id"] for answer in answers if answer["success"]}
        assert acknowledged
        assert acknowledged <= stored
    finally:
        server.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_server_ends_in_good_order(stocked_path: Path, number: signal.Signals) -> None:
    server = PitbossProcess(stocked_path)
    server.start()
    os.kill(server.pid, number)
    assert server.wait() == 0
    assert "Traceback" not in server.log()
