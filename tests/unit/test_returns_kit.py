"""How the clients of the storm connect: what they wait for, and what counts as refused."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import click
import pytest

from benchmarks import results
from benchmarks.frames import unmasked
from benchmarks.line import LineError
from benchmarks.returning import Read, Returning
from benchmarks.upgrading import Answers, Upgrading
from protocol.engineio import PROBE_PING, UPGRADE
from server.cli import VERSION

OPENED: Final = b'0{"sid":"abc","upgrades":["websocket"]}'
JOINED: Final = b'40{"sid":"def"}'
SWITCHED: Final = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
POSTS, POLLS, WEBSOCKET = range(3)


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@dataclass
class Dialled:
    """The network connections a client asked for, and the server's end of each."""

    requests: list[bytes] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    ends: list[socket.socket] = field(default_factory=list)

    def dial(self, request: bytes, read: Read) -> socket.socket:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        self.requests.append(request)
        self.reads.append(read)
        self.ends += [ours, theirs]
        return ours

    def came(self, leg: int, data: bytes) -> None:
        self.reads[leg](data, 0)

    def sent(self, leg: int) -> bytes:
        try:
            return self.ends[2 * leg + 1].recv(10_000)
        except BlockingIOError:
            return b""

    def sent_frame(self) -> bytes:
        """The payload of a short masked frame."""
        frame = self.sent(WEBSOCKET)
        return bytes(byte ^ frame[2 + at % 4] for at, byte in enumerate(frame[6:]))


@pytest.fixture
def dialled() -> Iterator[Dialled]:
    made = Dialled()
    yield made
    for end in made.ends:
        end.close()


@pytest.fixture
def polling(dialled: Dialled) -> Upgrading:
    """A client whose session is open, and which sends, polls and probes."""
    client = Upgrading({"token": "t"}, "127.0.1.0")
    client.begin(dialled.dial)
    dialled.came(POSTS, answer(OPENED))
    return client


def test_a_client_that_polls_sends_polls_and_asks_for_a_websocket(
    polling: Upgrading, dialled: Dialled
) -> None:
    opening, poll, upgrade = dialled.requests
    assert opening.startswith(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n")
    assert poll.startswith(b"GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\n")
    assert upgrade.startswith(b"GET /socket.io/?EIO=4&transport=websocket&sid=abc HTTP/1.1\r\n")
    post = dialled.sent(POSTS)
    assert post.startswith(b"POST /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 15\r\n" in post
    assert post.endswith(b'\r\n\r\n40{"token":"t"}')
    assert not polling.joined


def test_it_has_joined_by_a_poll_and_polls_again(polling: Upgrading, dialled: Dialled) -> None:
    dialled.came(POLLS, answer(JOINED))
    assert polling.joined
    assert not polling.settled
    assert dialled.sent(POLLS) == dialled.requests[POLLS]


@pytest.mark.parametrize("first", [POSTS, POLLS])
def test_it_moves_once_nothing_is_on_its_way_over_http(
    polling: Upgrading, dialled: Dialled, first: int
) -> None:
    last = POLLS if first == POSTS else POSTS
    answers = {POSTS: answer(b"ok"), POLLS: answer(b"6")}
    dialled.came(POLLS, answer(JOINED))
    dialled.came(WEBSOCKET, SWITCHED)
    assert dialled.sent_frame() == PROBE_PING
    dialled.sent(POLLS)
    dialled.came(WEBSOCKET, unmasked(b"3probe"))
    dialled.came(first, answers[first])
    assert dialled.sent(WEBSOCKET) == b""
    assert not polling.settled
    dialled.came(last, answers[last])
    assert dialled.sent(POLLS) == b""
    assert dialled.sent_frame() == UPGRADE
    assert polling.settled


def test_it_may_join_on_its_websocket(polling: Upgrading, dialled: Dialled) -> None:
    dialled.came(POSTS, answer(b"ok"))
    dialled.came(WEBSOCKET, SWITCHED + unmasked(b"3probe"))
    dialled.came(POLLS, answer(b"6"))
    assert not polling.settled
    dialled.came(WEBSOCKET, unmasked(JOINED))
    assert polling.settled


def test_it_answers_heartbeats_that_come_by_a_poll(polling: Upgrading, dialled: Dialled) -> None:
    dialled.sent(POSTS)
    dialled.came(POLLS, answer(b"2\x1e" + JOINED))
    assert polling.joined
    assert dialled.sent(POSTS).endswith(b"\r\n\r\n3")


def test_after_a_refusal_it_begins_anew(polling: Upgrading, dialled: Dialled) -> None:
    with pytest.raises(LineError, match=r"503.*overloaded"):
        dialled.came(POLLS, answer(b'{"code":"overloaded"}', b"503 Service Unavailable"))
    polling.begin(dialled.dial)
    assert dialled.requests[3] == dialled.requests[0]
    dialled.came(3, answer(OPENED))
    assert len(dialled.requests) == 6
    assert polling.attempts == 2


def test_another_event_is_an_error(polling: Upgrading, dialled: Dialled) -> None:
    dialled.came(POLLS, answer(JOINED))
    with pytest.raises(LineError):
        dialled.came(POLLS, answer(b'42["wallet:updated",{}]'))
    assert polling.joined


def test_answers_are_whole_however_their_bytes_come() -> None:
    answers, found = Answers(), []
    for byte in answer(b"first") + answer(b"") + answer(b"third"):
        found += answers.received(bytes([byte]))
    assert found == [b"first", b"", b"third"]
    assert Answers().received(answer(b"first") + answer(b"second")) == [b"first", b"second"]


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["ended", "no length"])
def test_what_is_no_answer_is_an_error(data: bytes) -> None:
    with pytest.raises(LineError):
        Answers().received(data)


@pytest.mark.parametrize(
    ("attempts", "least_s", "most_s"), [(1, 0.5, 1.5), (2, 1, 3), (3, 2, 5), (10, 5, 5)]
)
def test_a_client_waits_longer_after_each_attempt(
    attempts: int, least_s: float, most_s: float
) -> None:
    client, random = Returning({}, "127.0.1.0"), Random(1)
    client.attempts = attempts
    waits_s = [client.delay_s(random) for _ in range(1_000)]
    assert min(waits_s) == pytest.approx(least_s, rel=0.01)
    assert max(waits_s) == pytest.approx(most_s, rel=0.01)


@pytest.fixture
def command() -> Iterator[click.Context]:
    """A command that runs, as files of results are made by one."""
    with click.Context(click.Command("measure")) as context:
        yield context


@pytest.mark.usefixtures("command")
def test_a_run_has_a_dated_file_of_its_own_and_a_quick_one_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "_FOLDER", tmp_path / "results")
    monkeypatch.setattr(time, "gmtime", partial(time.gmtime, 0))
    names = [results.place("storm", None, quick=quick).name for quick in (False, False, True)]
    moment = "1970-01-01-000000"
    assert names == [f"storm-{moment}.json", f"storm-{moment}-2.json", f"storm-quick-{moment}.json"]


def test_a_file_is_made_beforehand_and_goes_again_if_nothing_was_written(
    command: click.Context, tmp_path: Path
) -> None:
    full, empty, old = (tmp_path / "new" / f"{name}.json" for name in ("full", "empty", "old"))
    old.parent.mkdir()
    old.write_text("{}")
    assert [results.place("storm", one, quick=True) for one in (full, empty, old)] == [
        full,
        empty,
        old,
    ]
    assert old.read_text() == "{}"
    assert full.exists()
    assert empty.exists()
    full.write_text("{}")
    command.close()
    assert full.exists()
    assert old.exists()
    assert not empty.exists()


@pytest.mark.usefixtures("command")
def test_where_no_file_can_be_it_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for asked in (tmp_path, tmp_path / "file" / "figures.json"):
        with pytest.raises(click.ClickException, match="cannot be written"):
            results.place("storm", asked, quick=False)


def test_figures_that_cannot_be_written_later_do_not_end_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results.write(tmp_path, {}, [], [])
    assert "Not all results were written" in capsys.readouterr().err


def test_results_say_when_and_of_what_and_the_report_is_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "new" / "figures.json"
    results.write(None, {}, [], [], {}, "nowhere")
    assert not file.parent.exists()
    results.write(file, {"cores": 2}, [{"clients": 1}], ["fine"], {"seconds": 5}, "# Figures")
    found = json.loads(file.read_text())
    age = datetime.now(UTC) - datetime.fromisoformat(found.pop("at"))
    assert timedelta() <= age < timedelta(days=1)
    assert found == {
        "pitboss": VERSION,
        "machine": {"cores": 2},
        "settings": {"seconds": 5},
        "series": [{"clients": 1}],
        "notes": ["fine"],
    }
    assert file.with_suffix(".md").read_text() == "# Figures\n"
