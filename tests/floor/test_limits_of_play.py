"""Limits of play over sockets and HTTP: they hold for every game, and outlive what forgets them."""

import asyncio
from functools import partial
from typing import Any

import pytest

from actors.crash.table import Table
from actors.wallet.state import restore
from storage import wallets
from storage.borrow import borrow
from storage.rebuild import rebuild_snapshot
from tests.floor.house import LIMIT_S, House, Person, Seat, bet, request_id

NOTHING: dict[str, Any] = {
    "limits": [],
    "cooling_off_until_ms": None,
    "excluded": False,
    "excluded_until_ms": None,
}


def limit(kind: str, amount: int | None, period: str = "day") -> dict[str, Any]:
    """What sets a limit in play money."""
    return {"kind": kind, "period": period, "currency": "PLAY", "amount": amount}


def wager(**fields: Any) -> dict[str, Any]:
    """A wager of any game."""
    return {"stake": 100, "currency": "PLAY", "request_id": request_id(), **fields}


WAGERS: list[tuple[str, dict[str, Any]]] = [
    ("dice:roll", {"target": 5_050, "direction": "over"}),
    ("limbo:play", {"target": 200}),
    ("plinko:drop", {"rows": 8, "risk": "low"}),
    ("mines:start", {"mines": 3}),
]


# A table that takes bets for as long as a test lasts.
TABLE = Table(1, "Patient", "PLAY", 100, 100_000, 100_000_000, betting_ms=600_000)


@pytest.fixture
def options() -> dict[str, Any]:
    """A node with that table."""
    return {"crash_tables": [TABLE]}


async def betting_round(seat: Seat) -> str:
    """The round that takes bets, once the table is awake."""
    async with asyncio.timeout(LIMIT_S):
        while (state := await seat.ok("crash:state", {"table": 1}))["phase"] != "betting":
            await asyncio.sleep(0.01)
    round_id: str = state["round_id"]
    return round_id


async def put_away(house: House, *, snapshots: bool) -> None:
    """Let every wallet go, with its snapshot or without."""
    await house.pitboss.storage.wallets.flush_snapshots()
    assert house.pitboss.node.passivate(-1, 10) >= 1
    await house.pitboss.storage.wallets.flush_snapshots()
    if not snapshots:
        await house.pool.execute("delete from wallet_snapshots")


async def test_limits_are_set_over_http_and_hold_on_sockets(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    assert await seat.ok("limits:get") == NOTHING
    await seat.ok("dice:roll", bet(stake=400))
    status, answer = await ann.http("POST", "/limits", limit("stake", 1_000))
    assert status == 200
    (shown,) = answer["data"]["limits"]
    assert (shown["amount"], shown["used"], shown["pending"]) == (1_000, 400, None)
    refused = await seat.call("dice:roll", bet(stake=601))
    assert (refused["error"]["code"], refused["error"]["number"]) == ("stake_limit_reached", 5010)
    assert refused["error"]["details"]["used"] == 400
    await seat.ok("dice:roll", bet(stake=600))
    assert await seat.refused("dice:roll", bet(stake=100)) == "stake_limit_reached"
    status, answer = await ann.http("GET", "/limits")
    assert (status, answer["data"]) == (200, await seat.ok("limits:get"))
    raised = await seat.ok("limits:set", limit("stake", None))
    assert raised["limits"][0]["pending"]["amount"] is None
    assert await seat.refused("dice:roll", bet(stake=100)) == "stake_limit_reached"


@pytest.mark.parametrize(
    ("command", "body", "code"),
    [
        ("limits:exclude", {"days": None}, "self_excluded"),
        ("limits:cool_off", {"hours": 1}, "cooling_off"),
        ("limits:set", limit("stake", 99), "stake_limit_reached"),
        ("limits:set", limit("loss", 99, "month"), "loss_limit_reached"),
    ],
)
async def test_what_a_player_sets_holds_for_every_game(
    house: House, command: str, body: dict[str, Any], code: str
) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    await seat.ok(command, body)
    before = await seat.ok("wallet:get")
    round_id = await betting_round(seat)
    for name, fields in (*WAGERS, ("crash:bet", {"round_id": round_id})):
        assert await seat.refused(name, wager(**fields)) == code, name
    games = [{"game": name.partition(":")[0], **wager(**f)} for name, f in WAGERS[:3]]
    batch = await seat.ok("bets:place", {"bets": games})
    assert [placed["error"]["code"] for placed in batch["results"]] == [code] * 3
    assert await seat.ok("wallet:get") == before


async def test_who_is_excluded_still_withdraws_and_hears_of_tips(house: House) -> None:
    ann, bob = await house.register("ann"), await house.register("bob")
    teller = await house.operator()
    await ann.pull("USD")
    await bob.pull("USD")
    seat = await ann.connect()
    await seat.ok("limits:exclude", {"days": 180})
    tip = {"to": "ann", "currency": "USD", "amount": 5, "request_id": request_id()}
    assert (await bob.http("POST", "/wallet/tip", tip))[0] == 200
    await seat.hear("wallet:updated", available=100_005)
    assert await moved(teller, ann, "deposit", 5) == (403, "self_excluded")
    assert await moved(teller, ann, "withdraw", 100_005) == (200, None)


async def moved(teller: Person, who: Person, verb: str, amount: int) -> tuple[int, str | None]:
    """The status of an adjustment, and the code of its error."""
    body = {
        "user_id": who.user_id,
        "currency": "USD",
        "amount": amount,
        "request_id": request_id(),
    }
    status, answer = await teller.http("POST", f"/wallet/{verb}", body)
    return status, answer.get("error", {}).get("code")


async def test_a_deposit_limit_is_held_against_deposits(house: House) -> None:
    ann, teller = await house.guest(), await house.operator()
    seat = await ann.connect()
    await seat.ok("limits:set", {**limit("deposit", 500, "week"), "currency": "USD"})
    assert await moved(teller, ann, "deposit", 400) == (200, None)
    assert await moved(teller, ann, "deposit", 101) == (403, "deposit_limit_reached")
    assert await moved(teller, ann, "withdraw", 400) == (200, None)
    assert await moved(teller, ann, "deposit", 101) == (403, "deposit_limit_reached")


@pytest.mark.parametrize("snapshots", [True, False], ids=["with snapshots", "without"])
@pytest.mark.parametrize("folded", [True, False], ids=["folded", "rebuilt"])
async def test_limits_and_what_is_used_are_read_back(
    house: House, monkeypatch: pytest.MonkeyPatch, snapshots: bool, folded: bool
) -> None:
    if not folded:
        monkeypatch.setattr(wallets, "MAX_FOLD", 2)
        monkeypatch.setattr("storage.rebuilder.PATIENCE_S", 60)
    ann, teller = await house.guest(), await house.operator()
    await ann.pull()
    await moved(teller, ann, "deposit", 700)
    seat = await ann.connect()
    await seat.ok("limits:set", limit("stake", 5_000))
    for stake in (100, 250, 300):
        await seat.ok("dice:roll", bet(stake=stake))
    await seat.ok("limits:set", limit("loss", 4_000, "week"))
    await seat.ok("limits:set", limit("loss", 9_000, "week"))
    await seat.ok("limits:set", {**limit("deposit", 900, "month"), "currency": "USD"})
    await seat.ok("mines:start", wager(mines=24, stake=500))
    before = await seat.ok("limits:cool_off", {"hours": 2})
    assert [shown["used"] for shown in before["limits"]][::2] == [700, 1_150]
    await put_away(house, snapshots=snapshots)
    assert await seat.ok("limits:get") == before
    await seat.ok("limits:exclude", {"days": None})
    await put_away(house, snapshots=snapshots)
    after = await seat.ok("limits:get")
    assert after == {**before, "excluded": True}
    assert await seat.refused("dice:roll", bet()) == "self_excluded"


async def test_a_snapshot_that_is_rebuilt_is_the_one_that_was_taken(house: House) -> None:
    ann, teller = await house.guest(), await house.operator()
    await ann.pull()
    await moved(teller, ann, "deposit", 700)
    seat = await ann.connect()
    await seat.ok("limits:set", limit("stake", 5_000))
    for _ in range(3):
        await seat.ok("dice:roll", bet())
    await seat.ok("mines:start", wager(mines=24))
    await seat.ok("limits:exclude", {"days": 180})
    live = house.pitboss.node._live["wallet"][ann.user_id].state
    _seq, snapshot = await rebuild_snapshot(partial(borrow, house.pool), ann.user_id)
    rebuilt = restore(ann.user_id, snapshot)
    for name in ("balances", "restrictions", "day_ends_ms", "nonce"):
        assert getattr(rebuilt, name) == getattr(live, name), name
    days = [{seq: hold.day for seq, hold in state.holds.items()} for state in (rebuilt, live)]
    assert days[0] == days[1] != {}


async def test_a_snapshot_of_an_earlier_version_is_not_read(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    await seat.ok("dice:roll", bet(stake=300))
    before = await seat.ok("limits:set", limit("stake", 500))
    await put_away(house, snapshots=True)
    # What a process of that version would have left: no more than it knew.
    empty = restore(ann.user_id, None)
    await house.pool.execute(
        "update wallet_snapshots set format = 1, seq = 2, state = $1",
        house.pitboss.node.kinds["wallet"].snapshot(empty),
    )
    assert await seat.ok("limits:get") == before
    await seat.ok("dice:roll", bet(stake=100))
    await put_away(house, snapshots=True)
    assert await house.pool.fetchval("select format from wallet_snapshots") == 2
