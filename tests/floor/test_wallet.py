"""Money over sockets and HTTP: tips, adjustments, histories, and who hears of them."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.floor.house import House, bet, request_id


async def test_every_change_reaches_all_sockets_of_the_player_and_nobody_else(
    house: House,
) -> None:
    ann, bob = await house.guest(), await house.guest()
    await ann.pull()
    phone, laptop, stranger = await ann.connect(), await ann.connect(), await bob.connect()
    placed = await phone.ok("dice:roll", bet())
    news = await laptop.hear("wallet:updated", seq=placed["balance"]["seq"])
    assert news == placed["balance"]
    # The one who asked knows it from the answer.
    await phone.ok("wallet:get")
    assert phone.told == []
    await stranger.ok("wallet:get")
    assert stranger.told == []


async def test_a_tip_leaves_one_wallet_and_arrives_in_another(house: House) -> None:
    ann, bob = await house.register("ann"), await house.register("bob")
    await ann.pull("USD")
    sender, receiver = await ann.connect(), await bob.connect()
    tip = {"to": "BOB", "currency": "USD", "amount": 250, "request_id": request_id()}
    sent = await sender.ok("wallet:tip", tip)
    assert sent["kind"] == "tip_sent"
    assert sent["balance"]["available"] == 100_000 - 250
    news = await receiver.hear("wallet:updated", currency="USD")
    assert news["available"] == 250
    assert await sender.ok("wallet:tip", tip) == sent
    history = await receiver.ok("wallet:history", {})
    assert [entry["kind"] for entry in history["entries"]] == ["tip_received"]
    assert history["entries"][0]["counterparty"] == ann.user_id


async def test_commands_of_one_socket_keep_their_order_behind_a_look_up(house: House) -> None:
    ann, bob = await house.register("ann"), await house.register("bob")
    await ann.pull("USD")
    seat = await ann.connect()
    tip = {"to": bob.username, "currency": "USD", "amount": 100_000, "request_id": request_id()}
    again = {**tip, "amount": 1, "request_id": request_id()}
    # The receiver's name has to be looked up, which the bet and the wallet's reading do not need.
    answers = await asyncio.gather(
        seat.call("wallet:tip", tip),
        seat.call("dice:roll", bet(currency="USD")),
        seat.call("wallet:tip", again),
        seat.call("wallet:get"),
    )
    assert answers[0]["data"]["seq"] == 2
    assert [answer["error"]["code"] for answer in answers[1:3]] == ["insufficient_balance"] * 2
    assert answers[3]["data"]["seq"] == 2


async def test_tips_that_cannot_be(house: House) -> None:
    ann = await house.register("ann")
    await house.register("bob")
    await ann.pull("USD")
    seat = await ann.connect()
    tip = {"to": "bob", "currency": "USD", "amount": 1, "request_id": request_id()}
    assert await seat.refused("wallet:tip", {**tip, "to": "nobody"}) == "unknown_recipient"
    assert await seat.refused("wallet:tip", {**tip, "to": "ann"}) == "self_transfer"
    assert await seat.refused("wallet:tip", {**tip, "amount": 10**9}) == "insufficient_balance"
    assert await seat.refused("wallet:tip", {**tip, "currency": "XYZ"}) == "unknown_currency"
    assert (await seat.ok("wallet:get"))["seq"] == 1


async def test_an_operator_adjusts_and_a_player_may_not(house: House) -> None:
    ann, teller = await house.guest(), await house.operator()
    body = {
        "user_id": ann.user_id,
        "currency": "BTC",
        "amount": 150_000_000,
        "request_id": request_id(),
    }
    status, answer = await ann.http("POST", "/wallet/deposit", body)
    assert (status, answer["error"]["code"]) == (403, "forbidden")
    status, answer = await teller.http("POST", "/wallet/deposit", body)
    assert (status, answer["data"]["balance"]["available"]) == (200, 150_000_000)
    out = {**body, "amount": 50_000_000, "request_id": request_id()}
    status, answer = await teller.http("POST", "/wallet/withdraw", out)
    assert (status, answer["data"]["balance"]["available"]) == (200, 100_000_000)
    too_much = {**body, "amount": 100_000_001, "request_id": request_id()}
    status, answer = await teller.http("POST", "/wallet/withdraw", too_much)
    assert (status, answer["error"]["code"]) == (409, "insufficient_balance")
    nobody = {**body, "user_id": 999_999, "request_id": request_id()}
    status, answer = await teller.http("POST", "/wallet/deposit", nobody)
    assert (status, answer["error"]["code"]) == (404, "unknown_recipient")


async def test_history_is_paged_by_key_without_gaps(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    for _ in range(6):
        await seat.ok("dice:roll", bet())
    seen: list[int] = []
    before: int | None = None
    while True:
        page = await seat.ok("wallet:history", {"limit": 3, "before": before})
        seen.extend(entry["seq"] for entry in page["entries"])
        before = page["next_before"]
        if before is None:
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    status, answer = await ann.http("GET", "/wallet/history?limit=2&before=4&currency=PLAY")
    assert status == 200
    assert [entry["seq"] for entry in answer["data"]["entries"]] == [3, 2]


async def test_a_request_id_that_is_the_servers_is_refused(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    own = uuid4().int & ~(0xF << 76) | 0x8 << 76
    assert await seat.refused("dice:roll", bet(request_id=str(UUID(int=own)))) == "malformed"


class TestWithoutFaucet:
    """As in production."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"faucet_enabled": False, "guest_accounts": False}

    async def test_the_faucet_and_guests_are_refused(self, house: House) -> None:
        ann = await house.register("ann")
        seat = await ann.connect()
        body = {"currency": "PLAY", "request_id": request_id()}
        assert await seat.refused("wallet:faucet", body) == "production_refuses"
        status, answer = await house.http("POST", "/auth/guest")
        assert (status, answer["error"]["code"]) == (403, "guests_off")
