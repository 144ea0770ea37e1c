"""The bus over Redis: what only a real connection can show."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from storage.bus import RedisBus
from storage.resp import RespConnection, address_of, connect
from tests.contract.meeting_places import Member, meeting, settle, until
from tests.support.redis_server import PrivateRedis


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Member, Member]]:
    async with (
        meeting(RedisBus(url, "tried", "a"), "a") as a,
        meeting(RedisBus(url, "tried", "b"), "b") as b,
    ):
        yield a, b


async def calls(url: str, command: str) -> int:
    """How often a command was called in this Redis."""
    async with Redis.from_url(url) as client:
        stats = await client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_it_works_over_tcp_too(redis_url: str) -> None:
    async with two(redis_url) as (a, b):
        assert a.bus.post("b", b"hello")
        await settle(a, b)
        assert b.frames == [b"hello"]


@asynccontextmanager
async def behind_tls(path: str, folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """A port that speaks TLS in front of a Unix socket, and the certificate to trust."""
    certificate = self_signed(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65_536):
            writer.write(said)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_unix_connection(path)
        await asyncio.gather(pass_on(reader, to_redis), pass_on(from_redis, writer))

    async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], certificate


def self_signed(folder: Path) -> Path:
    """A certificate of 127.0.0.1 that nobody has signed, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a Redis")])
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "redis.pem"
    plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(key.private_bytes(*plain) + made.public_bytes(Encoding.PEM))
    return file


async def test_tls_is_spoken_to_whom_it_trusts_alone(
    private_redis: PrivateRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = private_redis.url.removeprefix("unix://")
    async with behind_tls(path, tmp_path) as (port, certificate):
        url = f"rediss://127.0.0.1:{port}"
        async with two(f"{url}?ssl_ca_certs={certificate}") as (a, b):
            assert a.bus.post("b", b"hello")
            await settle(a, b)
            assert b.frames == [b"hello"]
        distrusting = RedisBus(url, "tried", "c")
        member = Member("c", distrusting)
        running = asyncio.create_task(distrusting.run())
        await until(lambda: "certificate verify failed" in caplog.text)
        distrusting.close()
        await running
        assert member.joins == 0


async def test_what_one_turn_says_to_one_destination_is_one_message(
    private_redis: PrivateRedis,
) -> None:
    async with two(private_redis.url) as (a, b):
        b.bus.subscribe("room")
        await settle(a, b)
        before = await calls(private_redis.url, "publish")
        for number in range(100):
            assert a.bus.post("b", b"%d" % number)
            assert a.bus.publish("room", b"%d" % number)
            assert a.bus.post_all(b"%d" % number)
        await until(lambda: len(b.frames) == 200 and len(b.told) == 100)
        assert await calls(private_redis.url, "publish") == before + 3


async def test_what_was_said_and_heard_is_counted(private_redis: PrivateRedis) -> None:
    a_bus, b_bus = (
        RedisBus(private_redis.url, "tried", "a"),
        RedisBus(private_redis.url, "tried", "b"),
    )
    assert not a_bus.post("b", b"too early")
    async with meeting(a_bus, "a"), meeting(b_bus, "b") as b:
        assert a_bus.post("b", b"12345")
        assert a_bus.post("b", b"")
        assert a_bus.unsent_bytes > 5
        await until(lambda: len(b.frames) == 2 and a_bus.unsent_bytes == 0)
        assert (a_bus.traffic.frames_out, a_bus.traffic.bytes_out) == (2, 5)
        assert (b_bus.traffic.frames_in, b_bus.traffic.bytes_in) == (2, 5)
        assert (a_bus.traffic.refused, a_bus.traffic.joined) == (1, 1)


async def test_clusters_of_other_names_do_not_hear_each_other(private_redis: PrivateRedis) -> None:
    async with (
        meeting(RedisBus(private_redis.url, "one", "a"), "a") as a,
        meeting(RedisBus(private_redis.url, "one", "b"), "b") as b,
        meeting(RedisBus(private_redis.url, "two", "b"), "b") as stranger,
    ):
        b.bus.subscribe("room")
        stranger.bus.subscribe("room")
        await settle(b, stranger)
        a.bus.post("b", b"1")
        a.bus.post_all(b"2")
        a.bus.publish("room", b"3")
        await settle(a, b, stranger)
        assert sorted(b.frames) == [b"1", b"2"]
        assert b.told == [("room", b"3")]
        assert stranger.frames == []
        assert stranger.told == []


async def test_databases_do_not_divide_the_bus(private_redis: PrivateRedis) -> None:
    async with (
        meeting(RedisBus(f"{private_redis.url}?db=0", "tried", "a"), "a") as a,
        meeting(RedisBus(f"{private_redis.url}?db=3", "tried", "b"), "b") as b,
    ):
        a.bus.post("b", b"heard")
        await settle(a, b)
        assert b.frames == [b"heard"]


@pytest.mark.parametrize(
    "message",
    [b"", b"\x00", b"\x01", b"\x09a", b"\x01xabc", b"\x01x\x00\x00\x00\x09short", b"\xff"],
)
async def test_what_strangers_publish_is_dropped(
    private_redis: PrivateRedis, caplog: pytest.LogCaptureFixture, message: bytes
) -> None:
    async with two(private_redis.url) as (a, b):
        b.bus.subscribe("room")
        await settle(a, b)
        async with Redis.from_url(private_redis.url) as client:
            for channel in ("tried:to:b", "tried:all", "tried:room:room"):
                await client.publish(channel, message)
        a.bus.post("b", b"heard")
        await settle(a, b)
        assert b.frames == [b"heard"]
        assert b.told == []
        assert b.parts == 0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_of_what_strangers_publish_the_log_has_one_line(
    private_redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(private_redis.url) as (a, b):
        async with Redis.from_url(private_redis.url) as client:
            for _ in range(10):
                await client.publish("tried:to:b", b"\x01xabc")
        await settle(a, b)
        assert b.bus.post("a", b"heard")
    (said,) = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert "messages on the bus are not a member's: 1 so far" in said


async def allow(client: Redis, rule: str) -> None:
    """Change one thing of what everybody may do."""
    await client.acl_setuser("default", enabled=True, nopass=True, commands=[rule])


async def test_a_refusal_ends_the_connection_which_is_made_again(
    private_redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    async with Redis.from_url(private_redis.url) as client, two(private_redis.url) as (a, b):
        await allow(client, "-publish")
        assert a.bus.post("b", b"refused")
        await until(lambda: a.parts == 1)
        await until(lambda: a.joins == 2)
        await allow(client, "+publish")
        assert a.bus.post("b", b"allowed")
        await settle(a, b)
        assert b.frames == [b"allowed"]
    (said,) = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert "NOPERM" in said


async def test_a_redis_that_cannot_write_to_its_disk_still_carries_the_bus(
    private_redis: PrivateRedis,
) -> None:
    async with Redis.from_url(private_redis.url) as client, two(private_redis.url) as (a, b):
        private_redis.lose_disk()
        await client.config_set("save", "3600 1")
        await client.bgsave()
        async with asyncio.timeout(20):
            while (await client.info("persistence"))["rdb_last_bgsave_status"] != "err":
                await asyncio.sleep(0.05)
        with pytest.raises(ResponseError, match="MISCONF"):
            await client.ping()
        asked = await calls(private_redis.url, "echo")
        async with asyncio.timeout(20):
            while await calls(private_redis.url, "echo") < asked + 4:
                await asyncio.sleep(0.1)
        a.bus.post("b", b"heard")
        await settle(a, b)
        assert b.frames == [b"heard"]
        assert a.parts == b.parts == 0


async def test_an_outage_is_logged_once(
    private_redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with two(private_redis.url) as (a, b):
        private_redis.stop()
        await until(lambda: a.parts == b.parts == 1)
        await asyncio.sleep(0.5)
        private_redis.start()
        await until(lambda: a.joins == b.joins == 2)
        private_redis.stop()
        await until(lambda: a.parts == b.parts == 2)
    warnings = [r for r in caplog.records if r.name == "storage.bus" and r.levelname == "WARNING"]
    assert len(warnings) == 4
    assert all("no bus at" in record.message for record in warnings)
    assert len([r for r in caplog.records if "on the bus at" in r.message]) == 4


async def test_what_nobody_thought_of_ends_one_connection_only(
    private_redis: PrivateRedis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = 0

    async def fail_at_first(*asked: Any) -> RespConnection:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise UnicodeError("of a name")
        return await connect(*asked)

    monkeypatch.setattr("storage.resp.connect", fail_at_first)
    async with two(private_redis.url) as (a, b):
        assert a.bus.post("b", b"hello")
        await settle(a, b)
        assert b.frames == [b"hello"]
    told = [record for record in caplog.records if record.exc_info]
    assert "UnicodeError('of a name')" in told[0].message


async def test_a_password_is_used_and_never_logged(
    private_redis: PrivateRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Redis.from_url(private_redis.url) as client:
        await client.acl_setuser(
            "member", enabled=True, passwords=["+s3cret!"], channels=["*"], categories=["+@all"]
        )
        await client.config_set("requirepass", "0ther!")
    path = private_redis.url.removeprefix("unix://")
    async with (
        meeting(RedisBus(f"unix://member:s3cret%21@{path}", "tried", "a"), "a") as a,
        meeting(RedisBus(f"unix://:0ther%21@{path}", "tried", "b"), "b") as b,
    ):
        a.bus.post("b", b"heard")
        await settle(a, b)
        assert b.frames == [b"heard"]
        wrong = RedisBus(f"unix://member:s3cret@{path}", "tried", "c")
        Member("c", wrong)
        running = asyncio.create_task(wrong.run())
        await until(lambda: any("WRONGPASS" in record.message for record in caplog.records))
        wrong.close()
        await running
    assert "s3cret" not in caplog.text
    assert "0ther" not in caplog.text


@asynccontextmanager
async def pretending(*answers: bytes) -> AsyncIterator[int]:
    """A server that answers what it is told to, whatever it is asked. Its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for said in answers:
            await reader.read(65_536)
            writer.write(said)
        await reader.read(65_536)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (
            [b"-ERR unknown command `HELLO`, with args: `3`, `AUTH`, `pa55word`\r\n"],
            "it does not speak RESP3: Redis 6 or newer is needed",
        ),
        ([b"-NOPROTO unsupported protocol version\r\n"], "it does not speak RESP3"),
        ([b"-LOADING Redis is loading the dataset in memory\r\n"], "LOADING"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "what it says is not RESP3"),
    ],
)
async def test_what_is_not_a_redis_of_today_is_named(
    caplog: pytest.LogCaptureFixture, answers: list[bytes], sentence: str
) -> None:
    async with pretending(*answers) as port:
        bus = RedisBus(f"redis://:pa55word@127.0.0.1:{port}", "tried", "a")
        member = Member("a", bus)
        running = asyncio.create_task(bus.run())
        await until(lambda: bool(caplog.records))
        bus.close()
        await running
        assert (member.joins, member.parts) == (0, 0)
    assert sentence in caplog.records[0].message
    assert "pa55word" not in caplog.text


async def test_frames_wait_and_merge_while_the_network_is_slow(private_redis: PrivateRedis) -> None:
    async with two(private_redis.url) as (a, b):
        private_redis.freeze()
        big = bytes(2_000_000)
        assert a.bus.post("b", big)
        await asyncio.sleep(0.05)
        for number in range(50):
            assert a.bus.post("b", b"%d" % number)
            await asyncio.sleep(0)
        before = a.parts
        private_redis.thaw()
        await until(lambda: len(b.frames) == 51)
        assert b.frames == [big, *(b"%d" % number for number in range(50))]
        assert a.parts == before == 0
        # One before the pile, one that made it, and one for all that waited behind it.
        assert await calls(private_redis.url, "publish") <= 3


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("redis://", "localhost", 6379, None),
        ("redis://10.0.0.7:7000/3", "10.0.0.7", 7000, None),
        ("redis://me:secret@example.org", "example.org", 6379, None),
        ("unix:///run/redis.sock?db=1", "localhost", 6379, "/run/redis.sock"),
    ],
)
def test_addresses_are_read(url: str, host: str, port: int, path: str | None) -> None:
    address = address_of(url)
    assert (address.host, address.port, address.path) == (host, port, path)
    assert address.tls is None
    assert "secret" not in str(address)


def test_tls_is_checked_unless_the_address_says_otherwise() -> None:
    checked = address_of("rediss://example.org").tls
    assert checked is not None
    assert checked.check_hostname
    unchecked = address_of("rediss://example.org?ssl_cert_reqs=none").tls
    assert unchecked is not None
    assert not unchecked.check_hostname


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="redis://"):
        RedisBus("http://example.org", "tried", "a")
