"""`pitboss cluster`: what it shows, what it calls wrong, and a node that is sent away."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server import cli_cluster
from tests.cli.conftest import Pitboss
from tests.support.pitboss_process import PitbossProcess

NOBODY = "redis://127.0.0.1:1/0"
SECRET = "jVq8Zr3nT5wYx2Lk9Pd4Hs7Mb1Cf6Ga0"


@pytest.fixture
def meeting(pitboss: Pitboss, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Pitboss:
    """`pitboss` with a database and a Redis."""
    monkeypatch.setattr(cli_cluster, "BETWEEN_LOOKS_S", 0.05)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("PITBOSS_JWT_SECRET", SECRET)
    return pitboss


@pytest.fixture
def nodes(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[list[PitbossProcess]]:
    """Two nodes of one cluster, north and south."""
    started = []
    try:
        for name in ("north", "south"):
            folder = tmp_path / name
            folder.mkdir()
            node = PitbossProcess(
                folder,
                DATABASE_URL=database_url,
                REDIS_URL=redis_url,
                PITBOSS_NODE_NAME=name,
                PITBOSS_DEMO_PLAYER="false",
                PITBOSS_JWT_SECRET=SECRET,
                PITBOSS_SEED_ENCRYPTION_KEY="q1W2e3R4t5Y6u7I8o9P0a1S2d3F4g5H6j7K8l9Z0x1c=",
            )
            node.start()
            started.append(node)
        yield started
    finally:
        for node in started:
            node.stop()


def status(pitboss: Pitboss) -> tuple[int, Any]:
    result = pitboss("cluster", "status", "--json")
    return result.exit_code, json.loads(result.stdout)


def test_without_a_redis_there_is_no_cluster(
    pitboss: Pitboss, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    for args in (("cluster", "status"), ("cluster", "drain", "north")):
        result = pitboss(*args)
        assert result.exit_code == 1
        assert "No nodes meet here: REDIS_URL is not set" in result.output


def test_nobody_is_there(meeting: Pitboss) -> None:
    code, seen = status(meeting)
    assert code == 1
    assert (seen["healthy"], seen["redis"], seen["postgres"]) == (False, True, True)
    assert seen["nodes"] == []
    assert seen["problems"] == ["Nobody owns shards 0-63.", "No member is seen."]
    result = meeting("cluster", "drain", "north")
    assert result.exit_code == 1
    assert "There is no node north; there are: none." in result.output


def test_a_redis_that_does_not_answer(pitboss: Pitboss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", NOBODY)
    monkeypatch.setattr(cli_cluster, "BETWEEN_LOOKS_S", 0.05)
    code, seen = status(pitboss)
    assert code == 1
    assert (seen["redis"], seen["postgres"]) == (False, True)
    assert "Redis does not answer." in pitboss("cluster", "status").output
    result = pitboss("cluster", "drain", "north")
    assert result.exit_code == 1
    assert "Redis" in result.output


def test_a_database_that_does_not_answer(meeting: Pitboss, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    code, seen = status(meeting)
    assert code == 1
    assert (seen["redis"], seen["postgres"]) == (True, False)
    assert "PostgreSQL does not answer." in seen["problems"]


@pytest.mark.slow
def test_nodes_are_shown_and_one_is_sent_away(
    meeting: Pitboss, nodes: list[PitbossProcess]
) -> None:
    code, seen = status(meeting)
    assert (code, seen["problems"]) == (0, [])
    north, south = seen["nodes"]
    assert [north["name"], south["name"]] == ["north", "south"]
    assert north["owned"] + south["owned"] == seen["shards"] == 64
    assert (north["owned"], south["owned"]) == (north["wanted"], south["wanted"])
    assert {north["state"], south["state"]} == {"serving"}
    shown = meeting("cluster", "status").output
    assert re.search(rf"north +{north['id']} +serving", shown)
    assert "64 of 64 shards have an owner; Redis answers, PostgreSQL answers." in shown
    assert "The cluster is healthy." in shown

    away = meeting("cluster", "drain", "north")
    assert away.exit_code == 0
    assert "north has ended, and the others have its shards." in away.output
    assert nodes[0].wait() == 0

    code, seen = status(meeting)
    assert code == 0
    (left,) = seen["nodes"]
    assert (left["name"], left["owned"]) == ("south", 64)
    last = meeting("cluster", "drain", south["id"])
    assert last.exit_code == 1
    assert "There is no other node to take over" in last.output


@pytest.mark.slow
def test_a_node_that_was_killed_is_a_problem_until_its_heir_has_taken_over(
    meeting: Pitboss, nodes: list[PitbossProcess]
) -> None:
    nodes[0].kill()
    code, seen = status(meeting)
    while code:
        assert seen["problems"]
        code, seen = status(meeting)
    (left,) = seen["nodes"]
    assert (left["name"], left["owned"]) == ("south", 64)
