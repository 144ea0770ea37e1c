"""Where we mean to differ from other parsers, and the comparison that finds all other differences.

The reference is the official JavaScript parser: what it accepts we accept, with the same meaning,
and the reverse, but for the rows of `DIFFERENCES`. python-socketio is asked about what we accept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from protocol import disconnects, engineio
from protocol.bounds import (
    MAX_ACK_ID_DIGITS,
    MAX_ATTACHMENT_DEPTH,
    MAX_CONNECT_BYTES,
    MAX_CONTAINERS,
    MAX_EVENT_ARGS,
    MAX_EVENT_NAME_CHARS,
    MAX_NAMESPACE_CHARS,
    MAX_PACKETS_PER_PAYLOAD,
)
from protocol.disconnects import ProtocolViolation
from protocol.engineio import Binary
from protocol.socketio import Partial
from tests.fuzz.case import Case, Finding
from tests.fuzz.parsers import deeper, depth, meaning, read_packet
from tests.fuzz.references import JavaScript, Reading, meaning_of, python_packet

_HEAD: Final = re.compile(
    r"4(?P<kind>.?)(?:(?P<count>[^/\[{]*?)-)?(?P<nsp>/[^,]*)?,?(?P<id>[\d\s.]*)"
)


class ComparedPacketTarget:
    """The default parser beside the official one and python-socketio's."""

    name = "compared-packet"

    def __init__(self, reference: JavaScript | None) -> None:
        self._reference = reference

    def run(self, case: Case) -> str:
        """Read a text message thrice. Transports let no text through that is not UTF-8."""
        with suppress(UnicodeDecodeError):
            case[0].decode()
            assert self._reference is not None
            compare_packet(case, self._reference.read("packet", case))
            compare_packet(case, python_packet(case), python=True)
            return "compared"
        return "not text"


class ComparedPayloadTarget:
    """The reader of polling bodies beside the official one."""

    name = "compared-payload"

    def __init__(self, reference: JavaScript | None) -> None:
        self._reference = reference

    def run(self, case: Case) -> str:
        """Read a body twice."""
        with suppress(UnicodeDecodeError):
            case[0].decode()
            assert self._reference is not None
            compare_payload(case, self._reference.read("payload", case))
            return "compared"
        return "not text"


class Compared(NamedTuple):
    """A case, what the other parser read, and why we refused it, if we did."""

    text: str
    theirs: Reading
    reason: str | None

    @property
    def data(self) -> Any:
        """What the packet carries there."""
        return self.theirs.get("data")

    def head(self, group: str) -> str:
        """A field of the packet's head, as it is written."""
        match = _HEAD.match(self.text)
        return (match[group] or "") if match else ""


class Difference(NamedTuple):
    """One way in which we mean to differ: why, and the cases to which it applies."""

    why: str
    applies: Callable[[Compared], bool]


def _is_in(values: Any, test: Callable[[Any], bool]) -> bool:
    """Whether a value, or one inside it, passes a test."""
    level = [values]
    while level:
        item = level.pop()
        if test(item):
            return True
        if isinstance(item, dict):
            level += [*item, *item.values()]
        elif isinstance(item, list):
            level += item
    return False


def _is_half(value: Any) -> bool:
    return isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value)


def _is_infinite(value: Any) -> bool:
    return value in {float("inf"), float("-inf")} if isinstance(value, float) else False


def _first(data: Any) -> Any:
    return data[0] if isinstance(data, list) and data else None


def _has_space(text: str) -> bool:
    return any(map(str.isspace, text))


def _count(case: Compared) -> int:
    return len(case.data) if isinstance(case.data, list) else 0


# What the JavaScript parser accepts and we refuse.
STRICTER: Final = (
    Difference(
        "connect errors go from servers to clients",
        lambda case: case.theirs["type"] == 4 and case.reason == "wrong_direction",
    ),
    Difference(
        "a name is bounded", lambda case: len(str(_first(case.data))) > MAX_EVENT_NAME_CHARS
    ),
    Difference("arguments are bounded", lambda case: _count(case) > MAX_EVENT_ARGS),
    Difference(
        "a namespace is bounded, in bytes",
        lambda case: len(case.theirs["nsp"].encode()) > MAX_NAMESPACE_CHARS + 1,
    ),
    Difference("an ack id is bounded", lambda case: len(case.head("id")) > MAX_ACK_ID_DIGITS),
    Difference(
        "what comes before a log-in is bounded",
        lambda case: case.reason == "too_large" and len(case.text) > MAX_CONNECT_BYTES - 400,
    ),
    Difference(
        "nesting is bounded where Python walks it",
        lambda case: case.reason == "too_deep" and depth(case.data) > MAX_ATTACHMENT_DEPTH,
    ),
    Difference(
        "so is the number of lists and objects",
        lambda case: case.reason == "too_many_containers"
        and case.text.count("[") + case.text.count("{") > MAX_CONTAINERS,
    ),
    Difference("a name is a text", lambda case: isinstance(_first(case.data), int | float)),
    Difference(
        "an acknowledgement says of what",
        lambda case: case.theirs["type"] == 3 and case.theirs["id"] is None,
    ),
    Difference(
        "only events and acknowledgements have an id",
        lambda case: case.theirs["type"] not in {2, 3} and case.theirs["id"] is not None,
    ),
    Difference(
        "an event or acknowledgement has a list",
        lambda case: case.theirs["type"] in {2, 3} and not case.theirs["hasData"],
    ),
    Difference("a type is a digit", lambda case: not case.head("kind").isdigit()),
    Difference(
        "a count is one or two digits",
        lambda case: case.head("kind") in {"5", "6"}
        and not re.fullmatch(r"\d{1,2}", case.head("count")),
    ),
    Difference("there is no white space in an ack id", lambda case: _has_space(case.head("id"))),
    Difference("half of a surrogate pair is no text", lambda case: _is_in(case.data, _is_half)),
    Difference("a number fits a double", lambda case: _is_in(case.data, _is_infinite)),
    Difference(
        "a placeholder's number is written as an integer",
        lambda case: re.search(r'"num"\s*:\s*-?[0-9]*[.eE]', case.text) is not None
        and case.reason == disconnects.BAD_PLACEHOLDER.name,
    ),
)  # fmt: skip

# What we accept and the JavaScript parser refuses.
LENIENT: Final = (
    Difference(
        "a packet may announce no attachment at all",
        lambda case: int(case.head("count") or 1) == 0,
    ),
    Difference(
        "recursion ends sooner there", lambda case: "call stack" in case.theirs["error"]
    ),
)  # fmt: skip

# What both accept, with another meaning.
OTHERWISE: Final = (
    Difference(
        "white space before the list is no ack id", lambda case: _has_space(case.head("id"))
    ),
)

# What we accept and python-socketio refuses, or reads otherwise.
PYTHON: Final = (
    Difference("it cuts a namespace at its question mark", lambda case: "?" in case.head("nsp")),
    Difference("it takes any true placeholder", lambda case: '"_placeholder"' in case.text),
    Difference(
        "its recursion ends sooner", lambda case: "Recursion" in case.theirs.get("error", "")
    ),
    Difference(
        "it refuses integers of thousands of digits",
        lambda case: "nteger" in case.theirs.get("error", ""),
    ),
    Difference("it keeps the type of binary packets", lambda case: case.head("count") == "0"),
)


_OTHERWISE: Final = "the official parser reads it otherwise"


def compare_packet(case: Case, theirs: Reading, *, python: bool = False) -> None:
    """Raise `Finding` where the readings of a text message differ and no row says that they may."""
    ours, reason = _read(case)
    if theirs.get("untold") or ours == "partial":
        return
    compared = Compared(case[0].decode(), theirs, reason)
    rows: Sequence[Difference]
    if "error" in theirs:
        rows = PYTHON if python else LENIENT
        agree = reason is not None
    elif reason is not None:
        rows = () if python else STRICTER
        agree = python
    else:
        rows = PYTHON if python else OTHERWISE
        with deeper():
            agree = same(ours, meaning_of(theirs))
    if not agree and not any(row.applies(compared) for row in rows):
        promise = "python-socketio reads it otherwise" if python else _OTHERWISE
        raise Finding(promise, f"{_brief(theirs)}, not {_brief(reason or ours)}")


def compare_payload(case: Case, theirs: Reading) -> None:
    """The same for a polling body, with the official parser."""
    try:
        ours = [_engine_packet(packet) for packet in engineio.decode_payload(case[0])]
    except ProtocolViolation as violation:
        if "error" not in theirs and not _is_stricter(case, violation.reason):
            raise Finding(_OTHERWISE, f"{_brief(theirs)}, not {violation.reason.name}") from None
        return
    if "error" in theirs:
        # What has no type is refused by our session, not by our reader.
        if all(kind is not None for kind, _ in ours):
            raise Finding(_OTHERWISE, f"refused, not {_brief(ours)}")
    elif ours != theirs["packets"]:
        raise Finding(_OTHERWISE, f"{_brief(theirs)}, not {_brief(ours)}")


def _is_stricter(case: Case, reason: disconnects.DisconnectReason) -> bool:
    """Whether we mean to refuse a body that the official parser reads."""
    if reason is disconnects.TOO_MANY_PACKETS:
        return case[0].count(engineio.SEPARATOR) >= MAX_PACKETS_PER_PAYLOAD
    # Node leaves out what is not base64.
    return reason is disconnects.BAD_BASE64


_ENGINE_TYPES: Final = ("open", "close", "ping", "pong", "message", "upgrade", "noop")


def _engine_packet(packet: bytes) -> list[Any]:
    if isinstance(packet, Binary):
        return ["message", bytes(packet)]
    known = packet[:1] in {b"0", b"1", b"2", b"3", b"4", b"5", b"6"}
    return [_ENGINE_TYPES[int(packet[:1])] if known else None, packet[1:].decode(errors="replace")]


def _read(case: Case) -> tuple[Any, str | None]:
    try:
        packet = read_packet(case)
    except ProtocolViolation as violation:
        return None, violation.reason.name
    return ("partial" if isinstance(packet, Partial) else meaning(packet)), None


def same(ours: Any, theirs: Any) -> bool:
    """Whether two values mean the same; JavaScript has doubles for all numbers."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return _double(ours) == _double(theirs)
    return type(ours) is type(theirs) and bool(ours == theirs)


def _double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _brief(what: object) -> str:
    return repr(what)[:300]
