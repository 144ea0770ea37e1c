"""A player with the official JavaScript client, at every game, on every transport."""

import json
from typing import Any

import pytest

from actors.crash import odds
from actors.crash.table import Table
from storage.audit import audit
from tests.floor.house import House
from tests.support.node import NodeClient

# No round lasts longer than three seconds.
TABLE = Table(
    1,
    "Quick",
    "PLAY",
    100,
    100_000,
    100_000_000,
    betting_ms=500,
    pause_ms=100,
    tick_ms=100,
    most_multiplier=120,
)


@pytest.fixture
def options() -> dict[str, Any]:
    """One quick table."""
    return {"crash_tables": [TABLE]}


@pytest.mark.javascript
@pytest.mark.parametrize("transports", [["polling", "websocket"], ["polling"], ["websocket"]])
async def test_every_game(
    house: House, node_client: NodeClient, transports: list[str], database_url: str
) -> None:
    ann = await house.guest()
    await ann.pull()

    seen = json.loads(
        await node_client.run("games.js", house.url, ann.token, "1", json.dumps(transports))
    )

    assert [seen[game]["game"] for game in ("dice", "limbo", "plinko")] == [
        "dice",
        "limbo",
        "plinko",
    ]
    assert [placed["data"]["game"] for placed in seen["mixed"]] == ["plinko", "limbo", "dice"]
    assert seen["revealed"]["ended"] in ("mine", "cashout")
    assert seen["watched"]["table"] == 1
    assert all(count > 0 for count in seen["events"].values()), seen["events"]
    assert seen["twice"] == "already_in_round"
    cashed_out = seen["cashedOut"]
    assert cashed_out["payout"] == cashed_out["multiplier"] <= seen["crashed"]["bust"]
    assert seen["again"] in ("already_cashed_out", "round_over")
    assert seen["stale"] in ("round_over", "already_cashed_out")
    record = next(r for r in seen["rounds"] if r["round_id"] == seen["bet"]["round_id"])
    assert record["hash"] == seen["crashed"]["hash"]
    bust = odds.bust(record["hash"], record["public_seed"], most=TABLE.most_multiplier)
    assert bust == record["bust"] == seen["crashed"]["bust"]
    report = await audit(database_url, house.pitboss.storage.vault)
    assert report.clean, report.findings
