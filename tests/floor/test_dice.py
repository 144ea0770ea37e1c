"""Bets over sockets and HTTP: once each, verifiable, and within the rules."""

import asyncio
import hashlib
import hmac
from typing import Any

import pytest

from protocol.bounds import MAX_BETS_PER_BATCH
from tests.floor.house import LIMIT_S, House, Seat, bet, request_id


def roll_of(server_seed: str, client_seed: str, nonce: int) -> int:
    message = f"{client_seed}:{nonce}:0".encode()
    digest = hmac.new(server_seed.encode(), message, hashlib.sha256).digest()
    return int.from_bytes(digest[:4], "big") * 10001 >> 32


async def player(house: House) -> Seat:
    ann = await house.guest()
    await ann.pull()
    return await ann.connect()


async def test_bets_verify_once_the_seed_is_revealed(house: House) -> None:
    seat = await player(house)
    shown = await seat.ok("seed:get")
    first = await seat.ok("dice:roll", bet())
    changed = await seat.ok("seed:set_client", {"client_seed": "my-own-seed"})
    assert changed["server_seed_hash"] == shown["server_seed_hash"]
    assert changed["nonce"] == 1
    second = await seat.ok("dice:roll", bet(direction="under"))
    hidden = await seat.ok("bet:get", {"bet_id": second["bet_id"]})
    assert hidden["server_seed"] is None
    rotated = await seat.ok("seed:rotate", {})
    seed = rotated["revealed"]["server_seed"]
    assert hashlib.sha256(seed.encode()).hexdigest() == shown["server_seed_hash"]
    assert rotated["current"]["nonce"] == 0
    for placed, client_seed in ((first, shown["client_seed"]), (second, "my-own-seed")):
        record = await seat.ok("bet:get", {"bet_id": placed["bet_id"]})
        assert record["server_seed"] == seed
        assert record["client_seed"] == client_seed
        assert record["nonce"] == placed["nonce"]
        assert record["outcome"]["roll"] == placed["roll"]
        assert placed["roll"] == roll_of(seed, client_seed, placed["nonce"])


async def test_the_same_request_is_answered_again_and_another_is_refused(house: House) -> None:
    seat = await player(house)
    asked = bet()
    placed = await seat.ok("dice:roll", asked)
    await seat.ok("dice:roll", bet())
    assert await seat.ok("dice:roll", asked) == placed
    for change in ({"stake": 101}, {"target": 5051}, {"direction": "under"}, {"currency": "USD"}):
        assert await seat.refused("dice:roll", {**asked, **change}) == "request_mismatch"
    history = await seat.ok("bet:history", {})
    assert len(history["bets"]) == 2


async def test_one_request_over_socket_http_and_batch_is_one_bet(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    asked = bet()
    placed = await seat.ok("dice:roll", asked)
    status, answer = await ann.http("POST", "/dice/roll", asked)
    assert (status, answer["data"]) == (200, placed)
    batch = await seat.ok("bets:place", {"bets": [asked, asked]})
    assert [result["data"] for result in batch["results"]] == [placed, placed]


async def test_a_batch_answers_each_bet_by_itself(house: House) -> None:
    seat = await player(house)
    bets = [bet(), bet(stake=10**12), bet(target=0, direction="under"), bet()]
    results = (await seat.ok("bets:place", {"bets": bets}))["results"]
    codes = [None if one["success"] else one["error"]["code"] for one in results]
    assert codes == [None, "stake_too_large", "target_out_of_range", None]
    assert results[3]["data"]["balance"]["seq"] == results[0]["data"]["balance"]["seq"] + 1
    assert await seat.refused("bets:place", {"bets": []}) == "malformed"
    assert await seat.refused("bets:place", {"bets": [bet()] * 101}) == "malformed"


async def test_the_balance_cannot_be_overspent_by_bets_at_once(house: House) -> None:
    seat = await player(house)
    stake = 40_000
    bets = [bet(stake=stake, target=1, direction="under") for _ in range(5)]
    results = (await seat.ok("bets:place", {"bets": bets}))["results"]
    refused = [one["error"]["code"] for one in results if not one["success"]]
    assert set(refused) <= {"insufficient_balance", "profit_too_large"}
    balance = (await seat.ok("wallet:get"))["balances"][0]["available"]
    assert balance >= 0


async def test_a_rejected_bet_changes_nothing(house: House) -> None:
    seat = await player(house)
    before = (await seat.ok("wallet:get"), await seat.ok("seed:get"))
    for change in (
        {"stake": 0},
        {"stake": -5},
        {"stake": 1.5},
        {"stake": 10**30},
        {"stake": None},
        {"stake": 99_999_999},
        {"currency": "XYZ"},
        {"currency": "BTC", "stake": 1},
        {"target": 10_000},
        {"direction": "sideways"},
        {"request_id": "x"},
        {"extra": 1},
    ):
        await seat.refused("dice:roll", bet(**change))
    assert (await seat.ok("wallet:get"), await seat.ok("seed:get")) == before


async def test_nobody_sees_another_players_bet(house: House) -> None:
    seat = await player(house)
    placed = await seat.ok("dice:roll", bet())
    other = await player(house)
    for bet_id in (placed["bet_id"], "x-1", "1-", "-1", "9" * 30 + "-1"):
        assert await other.refused("bet:get", {"bet_id": bet_id}) in {"not_found", "malformed"}


class TestRates:
    """A caller that is too fast."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"bets_per_second": 5, "max_connections_per_ip": 2}

    async def test_is_told_the_limit_and_when_to_come_back(self, house: House) -> None:
        ann = await house.guest()
        await ann.pull()
        seat = await ann.connect()
        answers = await asyncio.gather(
            *(seat.call("dice:roll", bet(stake=1)) for _ in range(MAX_BETS_PER_BATCH + 20))
        )
        refused = [answer["error"] for answer in answers if not answer["success"]]
        assert refused
        assert {error["code"] for error in refused} == {"rate_limited"}
        assert refused[0]["temporary"]
        assert refused[0]["details"]["limit_per_second"] == 5
        assert 0 < refused[0]["details"]["retry_after_ms"] <= 1_000
        batch = await seat.call("bets:place", {"bets": [bet() for _ in range(60)]})
        assert batch["error"]["code"] == "rate_limited"
        # Other commands have a budget of their own.
        await seat.ok("wallet:get")

    async def test_over_http_is_told_by_header_too(self, house: House) -> None:
        ann = await house.guest()
        await ann.pull()
        statuses = set()
        for _ in range(MAX_BETS_PER_BATCH + 10):
            status, answer = await ann.http("POST", "/dice/roll", bet(request_id=request_id()))
            statuses.add((status, answer.get("error", {}).get("code")))
        assert statuses == {(200, None), (429, "rate_limited")}


class TestFloods:
    """A connection that sends far more than it may."""

    @pytest.fixture
    def options(self) -> dict[str, Any]:
        return {"bets_per_second": 5, "commands_per_second": 5}

    async def test_a_flood_ends_its_own_connection_and_no_other(self, house: House) -> None:
        ann, bob = await house.guest(), await house.guest()
        flooding, quiet = await ann.connect(), await bob.connect()
        for _ in range(400):
            await flooding.client.emit("nope")
        async with asyncio.timeout(LIMIT_S):
            await flooding.gone.wait()
        await quiet.ok("wallet:get")
        assert house.pitboss.sockets.counters.disconnects["flooding"] == 1
