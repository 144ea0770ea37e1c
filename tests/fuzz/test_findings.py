"""What the fuzzer has found, mended, and may not come back: the smallest case of each."""

import pytest

from tests.fuzz.coverage import Coverage
from tests.fuzz.explorer import all_prey, judge
from tests.fuzz.rounds import complaints
from tests.sockets.application import serve
from tests.sockets.raw import raw, upgrade_request

TARGETS = {prey.target.name: prey.target for prey in all_prey()}
_UPGRADE = (
    b"GET %b HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
)
_LONG = 130_000
_LONG_LIST = b"\xdd" + _LONG.to_bytes(4, "big")
_EVENT = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e"


@pytest.mark.parametrize(
    ("target", "case", "outcome"),
    [
        pytest.param(
            "upgrade",
            (_UPGRADE % b"/socket.io/?EIO=4&transport=websocket\nX:",),
            "not an upgrade",
            id="a line feed in the target reached picows",
        ),
        pytest.param(
            "packet",
            (b'42["e",1e400]',),
            "Event",
            id="a number past all doubles could not be told to a msgpack client",
        ),
        pytest.param(
            "packet",
            (b'451-["e",22319927199254740990]', b""),
            "Event",
            id="an integer of more than 64 bits could not be told to a msgpack client",
        ),
        pytest.param(
            "msgpack",
            (_EVENT + b"\x81\xc0\x01",),
            "malformed_packet",
            id="a map whose key is nothing could not be told to a JSON client",
        ),
        pytest.param(
            "msgpack",
            (_EVENT + b"\x91" * 900 + b"\x01",),
            "too_deep",
            id="nesting that the decoder takes was too deep to be told to a JSON client",
        ),
        pytest.param(
            "msgpack",
            (_EVENT + _LONG_LIST + b"\x80" * _LONG,),
            "too_many_containers",
            id="each of a hundred thousand objects was a call",
        ),
        pytest.param(
            "msgpack",
            (_EVENT + _LONG_LIST + b"\x00" * _LONG,),
            "Event",
            id="and so was each number",
        ),
        pytest.param(
            "packet",
            (b'450-["e",[' + b"[]," * (_LONG // 3) + b"0]]",),
            "too_many_containers",
            id="and each list where placeholders may be",
        ),
        pytest.param(
            "packet",
            (b'450-["e",[' + b"0," * (_LONG // 2) + b"0]]",),
            "Event",
            id="and each number there",
        ),
    ],
)
def test_a_finding_stays_mended(target: str, case: tuple[bytes, ...], outcome: str) -> None:
    assert judge(TARGETS[target], case, Coverage()) == outcome


async def test_a_websocket_key_that_is_not_ascii_was_an_error_of_ours() -> None:
    with complaints() as logged:
        async with serve() as served, raw(served.port) as socket:
            socket.send(upgrade_request().replace(b"dGhl", b"\xed\xa0Gh"))
            assert (await socket.head()).startswith(b"HTTP/1.1 400 ")
    assert logged == []
