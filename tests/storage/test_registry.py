"""The registry in Redis: what only the keys can show."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from actors.runtime.membership import EXPIRES_MS, Member
from actors.runtime.seal import Seal
from storage import registry as registry_module
from storage.registry import RedisRegistry, WrongSecretError
from tests.support.announcing import announced


def member(name: str) -> Member:
    return Member(id=name, name=f"node {name}", started_at_ms=1)


@asynccontextmanager
async def registry(
    url: str, cluster: str = "tried", key: bytes = b"", expires_ms: int = EXPIRES_MS
) -> AsyncIterator[RedisRegistry]:
    made = RedisRegistry(url, cluster, key, expires_ms=expires_ms)
    try:
        yield made
    finally:
        await made.close()


async def test_an_announcement_of_another_version_is_passed_over_with_one_warning(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with registry(redis_url) as a, Redis.from_url(redis_url) as client:
        await client.sadd("tried:members", "b", "c")
        future = b'{"id": "b", "of": "the future"}'
        await client.set("tried:member:b", Seal().sealed(b"member:b", future))
        await client.set("tried:member:c", Seal().sealed(b"member:c", b"\xff\x00"))
        for _ in range(3):
            assert await a.announce(member("a")) == [member("a")]
    first, second = [record.message for record in caplog.records]
    assert "the announcement of b is of another version" in first
    assert "the announcement of c is of another version" in second


async def test_a_strangers_announcement_is_passed_over_with_one_warning(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with registry(redis_url) as stranger, Redis.from_url(redis_url) as client:
        ours = RedisRegistry(redis_url, "tried", b"the cluster's")
        await stranger.announce(member("b"))
        await client.sadd("tried:members", "c")
        await client.set("tried:member:c", b"{}")
        for _ in range(3):
            assert await ours.announce(member("a")) == [member("a")]
        assert await ours.look() == [member("a")]
        # What a member said of itself is nobody else's.
        await client.copy("tried:member:a", "tried:member:b", replace=True)
        assert await ours.look() == [member("a")]
        await ours.close()
    told = [record.message for record in caplog.records]
    assert told == [
        f"the announcement of {name} is of another JWT secret, or of a stranger" for name in "bc"
    ]


async def test_an_id_that_is_no_text_harms_nobody_and_leaves_the_set(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with registry(redis_url) as a, Redis.from_url(redis_url) as client:
        await client.sadd("tried:members", b"\xff", b"\xfe")
        await client.set(b"tried:member:\xfe", b"{}")
        assert await a.announce(member("a")) == await a.look() == [member("a")]
        monkeypatch.setattr(registry_module, "_FORGET_S", 0.0)
        await a.announce(member("a"))
        assert await client.smembers("tried:members") == {b"a", b"\xfe"}
    (told,) = [record.message for record in caplog.records]
    assert told == r"the announcement of \xfe is of another JWT secret, or of a stranger"


async def test_where_members_have_another_secret_one_is_refused(redis_url: str) -> None:
    async with (
        registry(redis_url, key=b"theirs", expires_ms=100) as stranger,
        registry(redis_url, key=b"ours", expires_ms=100) as ours,
        Redis.from_url(redis_url) as client,
    ):
        async with announced(stranger, member("b")):
            with pytest.raises(
                WrongSecretError, match=r"of the cluster tried .* \(b\): set PITBOSS_JWT"
            ):
                await ours.check_secret()
        assert await client.smembers("tried:members") == {b"b"}
        # Who is there already is only warned: anybody who reaches Redis could end it otherwise.
        await stranger.announce(member("b"))
        assert await ours.announce(member("a")) == [member("a")]


async def test_what_does_not_expire_as_members_do_keeps_nobody_away(redis_url: str) -> None:
    async with registry(redis_url, key=b"ours") as ours, Redis.from_url(redis_url) as client:
        await client.sadd("tried:members", "kept", "long")
        await client.set("tried:member:kept", b"rubbish")
        await client.set("tried:member:long", b"rubbish", px=3 * EXPIRES_MS)
        await ours.check_secret()


async def test_last_words_of_members_with_another_secret_are_waited_for(redis_url: str) -> None:
    async with (
        registry(redis_url, key=b"theirs", expires_ms=100) as stranger,
        registry(redis_url, key=b"ours", expires_ms=10_000) as ours,
        Redis.from_url(redis_url) as client,
    ):
        await stranger.announce(member("b"))
        await ours.check_secret()
        assert await client.keys("tried:member:*") == []


async def test_where_all_members_have_our_secret_nobody_is_refused(redis_url: str) -> None:
    async with (
        registry(redis_url, key=b"ours") as a,
        registry(redis_url, key=b"ours", expires_ms=0) as b,
    ):
        await b.check_secret()
        await a.announce(member("a"))
        await b.check_secret()


async def test_a_newer_version_may_say_more(redis_url: str) -> None:
    async with registry(redis_url) as a, Redis.from_url(redis_url) as client:
        await client.sadd("tried:members", "b")
        said = b'{"id": "b", "name": "node b", "started_at_ms": 1, "mood": "good"}'
        await client.set("tried:member:b", Seal().sealed(b"member:b", said))
        assert member("b") in await a.announce(member("a"))


async def test_ids_that_ended_leave_the_set(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with registry(redis_url) as a, Redis.from_url(redis_url) as client:
        await client.sadd("tried:members", "ended")
        await a.announce(member("a"))
        assert await client.smembers("tried:members") == {b"a", b"ended"}
        monkeypatch.setattr(registry_module, "_FORGET_S", 0.0)
        await a.announce(member("a"))
        assert await client.smembers("tried:members") == {b"a"}


async def test_nothing_of_a_cluster_stays_for_ever(redis_url: str) -> None:
    async with registry(redis_url) as a, Redis.from_url(redis_url) as client:
        await a.announce(member("a"))
        keys = await client.keys()
        assert sorted(keys) == [b"tried:member:a", b"tried:members"]
        for key in keys:
            assert 0 < await client.pttl(key) <= 3_600_000


async def test_clusters_of_other_names_and_databases_do_not_see_each_other(redis_url: str) -> None:
    async with (
        registry(redis_url) as a,
        registry(redis_url, "other") as b,
        registry(redis_url.removesuffix("/0") + "/1") as c,
    ):
        await a.announce(member("a"))
        assert await b.announce(member("b")) == [member("b")]
        assert await c.announce(member("c")) == [member("c")]
