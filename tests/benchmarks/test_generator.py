"""The load generator against real servers, and against one that breaks its word."""

import asyncio
import json
import ssl
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks import generator
from benchmarks.crowd import Crowd
from benchmarks.frames import FrameError
from benchmarks.generator import Generator
from benchmarks.ledger import LedgerError, check_rows
from benchmarks.line import LineError
from benchmarks.measurement import MeasurementError, measure
from benchmarks.plan import Arrivals, Load, Outcome, Plan, Progress
from benchmarks.players import BET, Player, enlist
from benchmarks.schedule import arrivals_ns
from benchmarks.server_process import Server, Storage, serving
from benchmarks.traffic import TrafficError
from benchmarks.usage import Meter
from benchmarks.worker import WorkerError

SETTLED = '{"success":true,"data":{"roll":1}}'
NO_METER = Meter(None, None)


@pytest_asyncio.fixture
async def server(storage: Storage) -> AsyncIterator[Server]:
    async with serving(storage) as served:
        yield served


def planned(
    url: str,
    tokens: list[str],
    *,
    rate: float | None = None,
    bets_per_message: int = 1,
    arrivals: Arrivals = "poisson",
    load: Load = "uniform",
) -> Plan:
    return Plan(
        url=url,
        tokens=tokens,
        bet=BET,
        bets_per_message=bets_per_message,
        depth=3,
        messages_per_second=rate,
        warm_up_s=0.1,
        window_s=0.5,
        seed=1,
        arrivals=arrivals,
        burst_every_s=0.3,
        load=load,
        progress_every_s=0.2,
    )


def tokens_of(players: list[Player]) -> list[str]:
    return [player.token for player in players]


async def test_the_ledger_has_what_every_kind_of_run_counts(
    server: Server, storage: Storage
) -> None:
    kinds: list[tuple[float | None, int, Arrivals, Load]] = [
        (None, 1, "poisson", "zipf"),
        (None, 20, "poisson", "uniform"),
        (None, 1, "poisson", "hot"),
        (300, 1, "burst", "uniform"),
        (300, 1, "poisson", "zipf"),
        (300, 2, "burst", "hot"),
    ]
    for rate, bets_per_message, arrivals, load in kinds:
        players = await enlist(server.url, 8)
        plan = planned(
            server.url,
            tokens_of(players),
            rate=rate,
            bets_per_message=bets_per_message,
            arrivals=arrivals,
            load=load,
        )
        told: list[Progress] = []
        measured = await measure(plan, NO_METER, progress=told.append)
        outcome = measured.outcome
        assert outcome.placed == outcome.acknowledged >= outcome.bets > 0
        assert outcome.refused == {}
        assert outcome.cores > 0
        assert measured.latency.count > 0
        assert len(told) == 2
        user_ids = [player.user_id for player in players]
        await check_rows(storage.database_url, user_ids, outcome.acknowledged)
        with pytest.raises(LedgerError):
            await check_rows(storage.database_url, user_ids, outcome.acknowledged + 1)


async def test_refused_bets_are_counted_apart_and_fail_a_run_that_may_have_none(
    storage: Storage,
) -> None:
    async with serving(storage, {"PITBOSS_BETS_PER_SECOND": "5"}) as server:
        players = await enlist(server.url, 2)
        plan = planned(server.url, tokens_of(players), rate=1_000)
        outcome = (await measure(plan, NO_METER, refusals=None)).outcome
        refused = outcome.refused["rate_limited"]
        assert outcome.refused == {"rate_limited": refused}
        assert outcome.placed == outcome.acknowledged + refused
        assert refused > 0
        user_ids = [player.user_id for player in players]
        await check_rows(storage.database_url, user_ids, outcome.acknowledged)
        with pytest.raises(MeasurementError, match="rate_limited"):
            await measure(plan, NO_METER, refusals=["overloaded"])


async def test_what_went_wrong_is_one_sentence() -> None:
    with pytest.raises(WorkerError, match="Connection refused"):
        await measure(planned("http://127.0.0.1:1", ["a"]), NO_METER)


# What a server does with the number of an event, given that of a message from 0 on.
Behaviour = Callable[[web.WebSocketResponse, int, int], Awaitable[None]]


@asynccontextmanager
async def behaving(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A Socket.IO server for one connection; yields its URL."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str('0{"sid":"a"}')
        number = 0
        async for message in websocket:
            if message.type is not WSMsgType.TEXT:
                break
            if message.data.startswith("40"):
                assert json.loads(message.data[2:]) == {"token": "a"}
                await websocket.send_str('40{"sid":"b"}')
            elif message.data.startswith("42"):
                ack_id = int(message.data[2 : message.data.index("[")])
                await behaviour(websocket, number, ack_id)
                number += 1
        return websocket

    application = web.Application()
    application.router.add_get("/socket.io/", serve)
    server = TestServer(application, scheme="http" if tls is None else "https")
    await server.start_server(ssl=tls)
    try:
        yield str(server.make_url("/"))
    finally:
        await server.close()


def certificate(file: Path) -> None:
    """Write a certificate for 127.0.0.1, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem, unencrypted = serialization.Encoding.PEM, serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(pem, form, unencrypted) + made.public_bytes(pem))


async def run_against(behaviour: Behaviour) -> Outcome:
    async with behaving(behaviour) as url:
        return await asyncio.to_thread(Generator(planned(url, ["a"], rate=100)).run)


async def answer(websocket: web.WebSocketResponse, _number: int, ack_id: int) -> None:
    await websocket.send_str(f"43{ack_id}[{SETTLED}]")


async def test_a_schedule_is_made_before_anybody_has_to_answer_heartbeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = []
    join = Crowd.join

    def made(plan: Plan) -> "array[int]":
        steps.append("schedule")
        return arrivals_ns(plan)

    def joined(crowd: Crowd, url: str, *, one_address: bool = False) -> None:
        steps.append("join")
        join(crowd, url, one_address=one_address)

    monkeypatch.setattr("benchmarks.generator.arrivals_ns", made)
    monkeypatch.setattr(Crowd, "join", joined)
    await run_against(answer)
    assert steps == ["schedule", "join"]


async def test_a_schedule_that_cannot_be_is_one_sentence() -> None:
    with pytest.raises(WorkerError, match="a run may have"):
        await measure(planned("http://127.0.0.1:1", ["a"], rate=1e15), NO_METER)


async def test_a_server_that_keeps_its_word_is_measured() -> None:
    async def chatty(websocket: web.WebSocketResponse, number: int, ack_id: int) -> None:
        await websocket.send_str('42["wallet:updated",{}]')
        await websocket.send_str("2")
        await answer(websocket, number, ack_id)

    outcome = await run_against(chatty)
    assert outcome.placed == outcome.acknowledged > 10


async def test_it_speaks_tls_to_whom_it_trusts_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate(tmp_path / "server.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    async with behaving(answer, tls) as url:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.to_thread(Generator(planned(url, ["a"], rate=100)).run)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
        for rate in (100, None):
            outcome = await asyncio.to_thread(Generator(planned(url, ["a"], rate=rate)).run)
            assert outcome.placed == outcome.acknowledged > 10


async def test_a_server_that_drops_one_answer_fails_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def forgetful(websocket: web.WebSocketResponse, number: int, ack_id: int) -> None:
        if number != 5:
            await answer(websocket, number, ack_id)

    monkeypatch.setattr(generator, "ANSWER_LIMIT_S", 0.5)
    with pytest.raises(LineError, match="1 messages were never answered"):
        await run_against(forgetful)


async def test_a_server_that_answers_twice_fails_the_run() -> None:
    async def eager(websocket: web.WebSocketResponse, number: int, ack_id: int) -> None:
        await answer(websocket, number, ack_id)
        if number == 5:
            await answer(websocket, number, ack_id)

    with pytest.raises(TrafficError, match="nothing waits"):
        await run_against(eager)


async def test_a_server_that_leaves_fails_the_run_and_says_why() -> None:
    async def leaving(websocket: web.WebSocketResponse, number: int, ack_id: int) -> None:
        await answer(websocket, number, ack_id)
        if number == 5:
            await websocket.close(code=4007, message=b"too many")

    with pytest.raises(FrameError, match="4007 too many"):
        await run_against(leaving)
