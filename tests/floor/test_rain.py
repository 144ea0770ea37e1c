"""Rain over real sockets: on those who were active in the room, once, and the books stay whole."""

import asyncio
from typing import Any

import asyncpg
import pytest

from server.commands.rain import RAINS_AT_ONCE
from storage.audit import audit
from tests.floor.house import LIMIT_S, Fields, House, Person, Seat, request_id


async def watcher(house: House, username: str) -> tuple[Person, Seat]:
    """Somebody who has come to the feed."""
    person = await house.register(username)
    seat = await person.connect()
    await seat.ok("feed:watch")
    return person, seat


def rain(amount: int, **changes: Any) -> Fields:
    """A rain in the feed's room."""
    fields = {"room": "feed", "currency": "USD", "amount": amount, "request_id": request_id()}
    return {**fields, **changes}


async def settled(house: House) -> None:
    """Wait until every message has arrived."""
    async with asyncio.timeout(LIMIT_S):
        while await house.pool.fetchval("select count(*) from outbox"):
            await asyncio.sleep(0.02)


async def check_audit(house: House, database_url: str) -> None:
    """The books are whole, rains included."""
    report = await audit(database_url, house.pitboss.storage.vault)
    assert report.findings == []


async def test_it_falls_on_everybody_else_who_was_active_there(
    house: House, database_url: str
) -> None:
    ann, giver = await watcher(house, "ann")
    bob, at_bob = await watcher(house, "bob")
    cat, at_cat = await watcher(house, "cat")
    # Another socket of one who is there counts once; who is elsewhere does not.
    await (await bob.connect()).ok("feed:watch")
    dan = await house.register("dan")
    await (await dan.connect()).ok("wallet:get")
    await ann.pull("USD")

    fell = await giver.ok("rain:start", rain(101))

    assert {key: fell[key] for key in ("share", "receivers", "taken", "remainder")} == {
        "share": 50,
        "receivers": 2,
        "taken": 100,
        "remainder": 1,
    }
    assert fell["balance"]["available"] == 100_000 - 100
    for seat in (at_bob, at_cat):
        assert (await seat.hear("wallet:updated", currency="USD"))["available"] == 50
        assert await seat.hear("rain:fell") == {
            "room": "feed",
            "from": "ann",
            "currency": "USD",
            "share": 50,
            "receivers": 2,
        }
    assert (await giver.ok("wallet:get"))["balances"][0]["available"] == 99_900
    await settled(house)
    assert (
        await house.pool.fetchval(
            "select count(*) from wallet_entries where wallet_id = $1", dan.user_id
        )
        == 0
    )
    _status, answer = await cat.http("GET", "/wallet/history")
    assert [entry["kind"] for entry in answer["data"]["entries"]] == ["rain_received"]
    await check_audit(house, database_url)


async def test_sent_again_it_has_its_first_answer_though_nobody_is_there_any_more(
    house: House,
) -> None:
    ann, giver = await watcher(house, "ann")
    _bob, at_bob = await watcher(house, "bob")
    await ann.pull("USD")
    sent = rain(10)
    first = await giver.ok("rain:start", sent)
    await at_bob.ok("feed:unwatch")

    assert await giver.ok("rain:start", sent) == first
    assert await giver.refused("rain:start", {**sent, "amount": 11}) == "request_mismatch"
    assert (
        await house.pool.fetchval("select count(*) from wallet_entries where kind = 'rain_sent'")
        == 1
    )


async def test_sent_again_when_the_wallet_has_forgotten_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.wallet.state.MAX_RECENT_REQUESTS", 1)
    monkeypatch.setattr("actors.wallet.state.FORGOTTEN_TOGETHER", 1)
    ann, giver = await watcher(house, "ann")
    _bob, at_bob = await watcher(house, "bob")
    await ann.pull("USD")
    sent = rain(10)
    first = await giver.ok("rain:start", sent)
    for _pull in range(3):
        await ann.pull("BTC")

    # Somebody is there: the unique index knows it. Nobody is: its row is looked for first.
    assert await giver.ok("rain:start", sent) == first
    await at_bob.ok("feed:unwatch")
    assert await giver.ok("rain:start", sent) == first
    assert (
        await house.pool.fetchval("select count(*) from wallet_entries where kind = 'rain_sent'")
        == 1
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"room": "user:2"}, "not_found"),
        ({"room": "crash:7"}, "nobody_active"),
        ({"currency": "XYZ"}, "unknown_currency"),
        ({"currency": "BTC"}, "insufficient_balance"),
        ({"amount": 10**9}, "insufficient_balance"),
        ({"amount": 0}, "malformed"),
        ({"amount": 1.5}, "malformed"),
        ({"minutes": 0}, "malformed"),
        ({"minutes": 61}, "malformed"),
        ({"room": ""}, "malformed"),
    ],
)
async def test_what_is_refused_changes_nothing(house: House, changes: Fields, code: str) -> None:
    ann, giver = await watcher(house, "ann")
    await watcher(house, "bob")
    await ann.pull("USD")

    assert await giver.refused("rain:start", {**rain(100), **changes}) == code
    assert await house.pool.fetchval("select count(*) from wallet_entries") == 1


async def test_less_than_one_unit_for_each_does_not_fall(house: House) -> None:
    ann, giver = await watcher(house, "ann")
    for name in ("bob", "cat"):
        await watcher(house, name)
    await ann.pull("USD")

    assert await giver.refused("rain:start", rain(1)) == "rain_too_small"


async def test_who_has_been_quiet_for_longer_gets_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, giver = await watcher(house, "ann")
    await watcher(house, "bob")
    _cat, at_cat = await watcher(house, "cat")
    await ann.pull("USD")
    router, activity = house.pitboss.router, house.pitboss.activity
    clock_s = router._clock_s
    monkeypatch.setattr(router, "_clock_s", lambda: clock_s() + 90)
    monkeypatch.setattr(activity, "_clock_s", lambda: clock_s() + 90)
    await at_cat.ok("wallet:get")

    assert (await giver.ok("rain:start", rain(100, minutes=1)))["receivers"] == 1
    assert (await giver.ok("rain:start", rain(100, minutes=2)))["receivers"] == 2


async def test_it_does_not_rain_without_end(house: House) -> None:
    ann, giver = await watcher(house, "ann")
    await watcher(house, "bob")
    await ann.pull("USD")
    for _rain in range(RAINS_AT_ONCE):
        await giver.ok("rain:start", rain(10))

    answer = await giver.call("rain:start", rain(10))
    assert answer["error"]["code"] == "rate_limited"
    assert answer["error"]["details"]["retry_after_ms"] > 0


async def test_over_http(house: House) -> None:
    ann = await house.register("ann")
    await ann.pull("USD")
    await watcher(house, "bob")
    status, answer = await ann.http("POST", "/rain", rain(30))

    assert (status, answer["data"]["share"]) == (200, 30)


async def test_a_full_wallet_sends_its_share_back(house: House, database_url: str) -> None:
    ann, giver = await watcher(house, "ann")
    bob, _at_bob = await watcher(house, "bob")
    teller = await house.operator()
    full = {
        "user_id": bob.user_id,
        "currency": "USD",
        "amount": 2**53 - 1,
        "request_id": request_id(),
    }
    assert (await teller.http("POST", "/wallet/deposit", full))[0] == 200
    await ann.pull("USD")
    await giver.ok("rain:start", rain(30))
    await settled(house)

    assert (await giver.ok("wallet:get"))["balances"][0]["available"] == 100_000
    kinds = await house.pool.fetch("select kind from wallet_entries where kind like 'rain%'")
    assert sorted(row["kind"] for row in kinds) == ["rain_refused", "rain_returned", "rain_sent"]
    await check_audit(house, database_url)


async def test_storage_takes_no_rain_with_a_game(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "insert into wallet_entries values"
                " (1, 1, 'USD', 'rain_sent', -1, 0, 0, 0, 2, gen_random_uuid(), 0, 'dice')"
            )
    finally:
        await connection.close()
