"""What an operator's tools read: metrics, health, and the documents."""

import aiohttp

from tests.floor.house import House, bet


async def fetch(house: House, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(house.url + path) as answer:
        return answer.status, await answer.text()


async def test_metrics_count_bets_commits_sockets_and_queues(house: House) -> None:
    ann = await house.guest()
    await ann.pull()
    seat = await ann.connect()
    await seat.ok("dice:roll", bet())
    await seat.ok("bets:place", {"bets": [bet(), bet()]})
    await seat.refused("dice:roll", bet(stake=0))
    status, page = await fetch(house, "/metrics")
    assert status == 200
    for line in (
        "pitboss_bets_total 3.0",
        'pitboss_commands_total{command="dice:roll",outcome="ok"} 1.0',
        'pitboss_commands_total{command="dice:roll",outcome="malformed"} 1.0',
        "pitboss_actors_live 1.0",
        'pitboss_connections{kind="websocket"} 1.0',
        "pitboss_sockets 1.0",
        "pitboss_lanes_open 2.0",
        'pitboss_queue_depth{queue="lane_0"} 0.0',
        'pitboss_queue_depth{queue="hydration"} 0.0',
    ):
        assert f"\n{line}\n" in page, line
    for name in ("pitboss_commit_rows_bucket", "pitboss_commit_seconds_bucket"):
        assert name in page
    assert "pitboss_loop_lag_seconds_bucket" in page


async def test_health_says_whether_the_node_can_take_bets(house: House) -> None:
    assert (await fetch(house, "/healthz"))[0] == 200
    assert (await fetch(house, "/readyz"))[0] == 200
    lane = house.pitboss.storage.journal.lanes[0]
    lane.open = False
    status, text = await fetch(house, "/readyz")
    assert (status, '"journal": false' in text) == (503, True)
    lane.open = True


async def test_unknown_paths_and_methods_are_refused_like_everything_else(house: House) -> None:
    for method, path, status in (("GET", "/nope", 404), ("PUT", "/wallet", 405)):
        given, answer = await house.http(method, path)
        assert (given, answer["error"]["code"]) == (status, "unknown_command")
    assert await fetch(house, "/nope") == (404, "404: Not Found")
