"""A short run in every test run, and that the fuzzer finds what it is there to find."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import uvloop

from protocol import containers, disconnects, engineio, socketio
from protocol.disconnects import ProtocolViolation
from protocol.engineio import Phase
from server.sockets.client import Client
from server.sockets.connection import Connection
from server.sockets.engine import Engine
from server.sockets.places import Places
from tests.fuzz.__main__ import free_port
from tests.fuzz.case import Case, Finding, bounded, read_case, shrink, write_case
from tests.fuzz.coverage import Coverage
from tests.fuzz.explorer import Explorer, Prey, all_prey, judge
from tests.fuzz.parsers import MsgpackTarget
from tests.fuzz.processes import besiege_program
from tests.fuzz.references import javascript
from tests.fuzz.rounds import besiege
from tests.support.node import NodeClient

WANTED = {
    "packet: Event", "packet: Ack", "packet: Connect", "packet: Disconnect", "packet: partial",
    "packet: malformed_packet", "packet: wrong_direction", "packet: invalid_text",
    "msgpack: Event", "msgpack: Ack", "msgpack: Connect", "msgpack: Disconnect",
    "packet: too_many_containers", "msgpack: too_many_containers",
    "msgpack: malformed_packet", "msgpack: too_deep", "msgpack: wrong_direction",
    "payload: packets", "payload: bad_base64", "payload: empty_packet",
    "upgrade: upgrade", "upgrade: not an upgrade",
    "engine-session: websocket", "engine-session: closed", "connection: transport_closed",
    "connection: not_connected", "connection: malformed_packet",
}  # fmt: skip


def test_nothing_is_found_in_the_parsers() -> None:
    explorer = Explorer(seed=1)
    for _ in range(10):
        explorer.explore(cases=2_000)
        if explorer.found or explorer.outcomes.keys() >= WANTED:
            break
    assert not explorer.found, "\n".join(map(str, explorer.found.values()))
    assert sorted(WANTED - explorer.outcomes.keys()) == []


@pytest.mark.javascript
def test_the_reference_parsers_read_what_we_read(node_client: NodeClient) -> None:
    assert node_client.node
    with javascript() as reference:
        prey = [prey for prey in all_prey(reference) if prey.target.name.startswith("compared")]
        explorer = Explorer(2, prey)
        explorer.explore(cases=1_500)
    assert not explorer.found, "\n".join(map(str, explorer.found.values()))
    assert explorer.outcomes["compared-packet: compared"] > 250


def test_a_seed_makes_the_same_cases() -> None:
    first, again, other = (Explorer(seed) for seed in (3, 3, 4))
    for explorer in (first, again, other):
        explorer.explore(cases=400)
    assert first.outcomes == again.outcomes != other.outcomes


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run], ids=["uvloop", "asyncio"])
def test_nothing_is_left_of_hostile_peers(run: Callable[..., Any]) -> None:
    tally = run(besiege(seed=1, seconds=60, rounds=range(1), peers=40))
    assert not tally.found, tally.found[0]
    assert tally.answers > 20
    assert len(tally.reasons) > 5, "peers are hostile in many ways"


@pytest.mark.parametrize("fallback", [False, True], ids=["picows", "fallback"])
def test_the_program_outlives_hostile_peers(fallback: bool) -> None:
    tally = uvloop.run(besiege_program(1, 2, free_port(), fallback=fallback))
    assert not tally.found, tally.found[0]
    assert tally.connections > 20


# That it finds things: each fault is planted, and is found in as many cases.


def _any_number(container: Any, attachments: Any) -> None:
    for key, item in list(
        container.items() if isinstance(container, dict) else enumerate(container)
    ):
        if isinstance(item, dict) and item.get("_placeholder") is True:
            container[key] = attachments[item["num"]]


def _any_base64(part: bytes) -> bytes:
    return part if part[:1] != b"b" else engineio.Binary(b64decode(part[1:]))


def _late_close(session: engineio.Session) -> bool:
    session.phase = Phase.CLOSED
    return session._posted


@pytest.mark.parametrize(
    ("owner", "name", "fault", "found"),
    [
        (socketio, "_fill", _any_number, "Error"),
        (socketio, "MAX_EVENT_ARGS", 100, "arguments are bounded"),
        (engineio, "_decode_part", _any_base64, "Error"),
        (engineio.Session, "drop_candidate", lambda _session: None, "the phase is"),
        (socketio.Session, "leave", lambda session, name: session.member(name), "Violation"),
    ],
)
def test_a_planted_fault_is_found(
    owner: Any, name: str, fault: Any, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, fault)
    # How small the case can be made is another test's.
    monkeypatch.setattr("tests.fuzz.case._MAX_SHRINKS", 50)
    explorer = Explorer(seed=5)
    # It is looked at often, as every case after the one that finds it is for nothing.
    for _ in range(200):
        explorer.explore(cases=100)
        if any(found in repr(finding.error) for finding in explorer.found.values()):
            return
    pytest.fail(f"not found in {explorer.cases} cases")


def _forgets_nothing(_client: Client, _reason: disconnects.DisconnectReason) -> None:
    """A handler that ends without leaving its rooms."""


def _forgets_pongs(engine: Engine, connection: Connection) -> None:
    engine.pongs.add(connection)


@pytest.mark.parametrize(
    ("owner", "name", "fault"),
    [
        (Places, "release", lambda _places, _address: None),
        (Client, "closed", _forgets_nothing),
        (Engine, "pong_received", _forgets_pongs),
    ],
)
def test_a_planted_leak_is_found(
    owner: Any, name: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.rounds.GONE_S", 2.0)
    monkeypatch.setattr(owner, name, fault)
    assert uvloop.run(besiege(seed=1, seconds=60, rounds=range(3), peers=20)).found


class _Quadratic:
    name = "quadratic"

    def run(self, case: Case) -> str:
        for _ in range(len(case[0]) ** 2 // 100):
            disconnects.of_close_code(None)
        return "done"


def test_work_that_grows_faster_than_its_input_is_found() -> None:
    assert judge(_Quadratic(), (bytes(100),), Coverage()) == "done"
    with pytest.raises(Finding, match="grow"):
        judge(_Quadratic(), (bytes(6_000),), Coverage())


def test_a_walk_without_a_bound_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = (b"\x84\xa4type\x03\xa3nsp\xa1/\xa2id\0\xa4data\x91\xdc\x7f\xff" + b"\x90" * 0x7FFF,)
    assert judge(MsgpackTarget(), wide, Coverage()) == "too_many_containers"
    monkeypatch.setattr(containers, "MAX_CONTAINERS", 1_000_000)
    with pytest.raises(Finding, match="grow"):
        judge(MsgpackTarget(), wide, Coverage())


class _Hoarder:
    name = "hoarder"

    def run(self, case: Case) -> str:
        return str(len([bytes(1_000) for _ in case[0]]))


def test_memory_that_is_no_multiple_of_its_input_is_found() -> None:
    with pytest.raises(Finding, match="memory grows"):
        judge(_Hoarder(), (bytes(5_000),), Coverage())


def test_a_case_is_one_word_of_the_command_line() -> None:
    case = (b"42[", b"", b"\x00\xff")
    assert read_case(write_case("packet", case)) == ("packet", case)


def test_the_smallest_case_that_fails_is_kept() -> None:
    noise = Random(1).randbytes(200)

    def fails(case: Case) -> bool:
        return any(b"!" in part and b"?" in part for part in case)

    assert shrink((noise, b"ab!cd?ef", noise), fails) == (b"!?",)


def test_a_case_is_bounded() -> None:
    assert bounded(()) == (b"",)
    assert sum(map(len, bounded((b"x" * 100_000,) * 100))) == 150_000


def test_a_refusal_without_a_name_is_a_finding() -> None:
    class Broken:
        name = "broken"

        def run(self, case: Case) -> str:
            raise ProtocolViolation(disconnects.TOO_DEEP) if case[0] else Finding("promise")

    explorer = Explorer(1, [Prey(Broken(), lambda rng: (rng.choice((b"", b"x")),), 1)])
    explorer.explore(cases=20)
    assert len(explorer.found) == 2
