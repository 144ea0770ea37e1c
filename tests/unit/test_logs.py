"""Log lines: one JSON object each, and none for a stranger's broken request."""

import json
import logging
import sys

from aiohttp.http_exceptions import BadStatusLine

from server.logs import JsonFormatter, NotThePeersFault


def record(error: Exception | None = None, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("pitboss", logging.INFO, "x.py", 1, "bet %d", (7,), None)
    made.__dict__.update(extra)
    if error is not None:
        try:
            raise error
        except Exception:  # noqa: BLE001 - it is the one just made
            made.exc_info = sys.exc_info()
    return made


def test_a_line_has_the_message_and_what_was_given_as_extra() -> None:
    line = json.loads(JsonFormatter().format(record(request_id="r-1", command="dice:roll")))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "pitboss",
        "message": "bet 7",
        "request_id": "r-1",
        "command": "dice:roll",
    }


def test_a_line_names_the_node_if_it_has_a_name() -> None:
    assert json.loads(JsonFormatter("floor-1").format(record()))["node"] == "floor-1"


def test_an_exception_stays_within_the_line() -> None:
    text = JsonFormatter().format(record(ValueError("broken")))
    assert "\n" not in text
    assert "ValueError: broken" in json.loads(text)["exception"]


def test_only_the_peers_faults_are_dropped() -> None:
    passes = NotThePeersFault().filter
    assert passes(record())
    assert passes(record(ValueError()))
    assert not passes(record(BadStatusLine("not HTTP")))
