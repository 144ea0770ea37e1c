"""The official JavaScript parsers and python-socketio's, asked what a case means."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from socketio.packet import Packet

from tests.fuzz.case import Case
from tests.support import node

_SCRIPT: Final = Path(__file__).with_name("reference.mjs")
_TYPES: Final = {0: "connect", 1: "disconnect", 2: "event", 3: "ack", 4: "connect_error"}
_BINARY_TYPES: Final = {5: 2, 6: 3}

# What a reader made of a case: its fields, or why it refused.
Reading = dict[str, Any]


class JavaScript:
    """One Node process that reads cases with the official parsers."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, parser: str, case: Case) -> Reading:
        """What a case means to the parser of packets, or of payloads."""
        line = json.dumps([parser, [b64encode(part).decode() for part in case]])
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        reading: Reading = _restore(json.loads(self._process.stdout.readline()))
        return reading


@contextmanager
def javascript() -> Iterator[JavaScript | None]:
    """The process, for as long as it is needed; None on a machine without Node."""
    if node.missing_program() is not None:
        yield None
        return
    node.install()
    program = shutil.which("node")
    assert program is not None
    command = [program, "--stack-size=4000", str(_SCRIPT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield JavaScript(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _restore(value: Any) -> Any:
    """Bytes and numbers that travelled as objects."""
    if isinstance(value, list):
        return [_restore(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$bytes"}:
        return b64decode(value["$bytes"])
    if value.keys() == {"$number"}:
        return float(value["$number"].replace("Infinity", "inf"))
    return {key: _restore(item) for key, item in value.items()}


def python_packet(case: Case) -> Reading:
    """What python-socketio reads of a text message and its attachments."""
    try:
        packet = Packet(encoded_packet=case[0].decode()[1:])
        for attachment in case[1 : 1 + packet.attachment_count]:
            packet.add_attachment(attachment)
    except (ValueError, RecursionError, IndexError, TypeError, KeyError) as error:
        return {"error": repr(error)}
    kind = packet.packet_type
    return {
        "type": _BINARY_TYPES.get(kind, kind),
        "nsp": packet.namespace or "/",
        "id": packet.id,
        "data": packet.data,
        "hasData": packet.data is not None,
    }


def meaning_of(reading: Reading) -> tuple[Any, ...]:
    """A reading of a packet as `parsers.meaning` has ours."""
    kind = _TYPES.get(reading["type"], "?")
    data = reading.get("data")
    if kind == "connect":
        return (kind, reading["nsp"], reading["id"], data or {})
    return (kind, reading["nsp"], reading["id"], data)
