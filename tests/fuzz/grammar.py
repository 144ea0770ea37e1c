"""What the protocols' packets look like: well-formed cases, made from a seed, for all targets.

Nothing of the code under test is used here, so that its writers cannot hide its readers' mistakes.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Callable
from random import Random
from typing import Any, Final

from tests.fuzz.case import Case

NAMESPACES: Final = ("/", "/", "/chat", "/custom", "/nobody", "/a" * 40, "/é", "/x?y=z")
_NAMES: Final = (
    "echo",
    "join",
    "say",
    "later",
    "dismiss",
    "n" * 64,
    "n" * 65,
    "connect",
    "é😀",
    "",
)
_TEXTS: Final = ("", "a", "né€😀", "\x00", "\\", '"', "\u2028", "x" * 300, "_placeholder")
_NUMBERS: Final = (
    0, 1, -1, 127, 128, -32, -33, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**53, 2**63, 2**64 - 1,
    -(2**31), -(2**63), 0.5, -1.5, 1e300,
)  # fmt: skip
# Lists in lists, deeper than is let in, and shallow enough for any parser.
_DEEP: Final = json.loads("[" * 50 + "]" * 50)
# A list of so many is full of one of these.
_LONG: Final = 5_000
_ELEMENTS: Final[tuple[list[Any], ...]] = ([[]], [{}], [{"a": 0}], [2**63])
_PACKET_TYPES: Final = {"connect": 0, "disconnect": 1, "event": 2, "ack": 3, "connect_error": 4}
# How often the engine packets of a payload are messages, against all other types.
_ENGINE_PACKETS: Final = (b"3", b"6", b"1", b"0{}", b"2", b"2probe", b"5", b"7", b"3probe")


def value(rng: Random, depth: int = 3, *, binary: bool = False) -> Any:
    """A JSON value; with `binary`, some of its leaves are bytes."""
    kind = rng.randrange(9 if depth else 6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind <= 2:
        return rng.choice(_NUMBERS)
    if kind <= 4 or (kind == 5 and not binary):
        return rng.choice(_TEXTS)
    if kind == 5:
        return rng.randbytes(rng.choice((0, 1, 20, 300)))
    size = rng.choice((0, 1, 2, 4))
    if kind == 6:
        return {rng.choice(_TEXTS): value(rng, depth - 1, binary=binary) for _ in range(size)}
    return [value(rng, depth - 1, binary=binary) for _ in range(size)]


def extract(content: Any, attachments: list[bytes]) -> Any:
    """The value with placeholders where it has bytes, which are appended to `attachments`."""
    if isinstance(content, bytes):
        attachments.append(content)
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(content, dict):
        return {key: extract(item, attachments) for key, item in content.items()}
    if isinstance(content, list):
        return [extract(item, attachments) for item in content]
    return content


def _text_of(rng: Random, content: Any) -> str:
    separators = rng.choice(((",", ":"), (", ", ": "), (" ,\n", "\t:")))
    return json.dumps(content, ensure_ascii=rng.random() < 0.3, separators=separators)


def packet(rng: Random, namespace: str | None = None) -> Case:
    """A Socket.IO packet in the default encoding: a text message, then its attachments."""
    namespace = namespace or rng.choice(NAMESPACES)
    where = "" if namespace == "/" else f"{namespace},"
    kind = rng.choice(("connect", "disconnect", "event", "event", "event", "ack", "connect_error"))
    if kind == "connect":
        auth = _text_of(rng, {"token": rng.choice(_TEXTS)}) if rng.random() < 0.5 else ""
        return (f"40{where}{auth}".encode(),)
    if kind == "disconnect":
        return (f"41{where}".encode(),)
    if kind == "connect_error":
        return (f'44{where}{{"message":"no"}}'.encode(),)
    attachments: list[bytes] = []
    content = extract(arguments(rng, kind), attachments)
    ack_id = ack_number(rng) if kind == "ack" or rng.random() < 0.5 else ""
    number = _PACKET_TYPES[kind]
    announced = len(attachments) if rng.random() < 0.9 else rng.choice((0, 1, 10, 11, 99))
    head = f"4{number + 3}{announced}-" if attachments else f"4{number}"
    return (f"{head}{where}{ack_id}{_text_of(rng, content)}".encode(), *attachments)


def arguments(rng: Random, kind: str) -> list[Any]:
    """What an event, with its name, or an acknowledgement carries."""
    binary = rng.random() < 0.5
    args = [value(rng, binary=binary) for _ in range(rng.choice((0, 1, 1, 2, 8, 9)))]
    if rng.random() < 0.04:
        args = [rng.choice((_DEEP, rng.choice(_ELEMENTS) * _LONG)), b"x"]
    return [rng.choice(_NAMES), *args] if kind == "event" else args


def ack_number(rng: Random) -> int:
    """The id of an acknowledgement."""
    return rng.choice((0, 1, 7, 10**14, 10**15 - 1, 10**15, rng.randrange(1_000)))


def payload(rng: Random) -> Case:
    """The body of a polling request."""
    packets = [engine_packet(rng) for _ in range(rng.choice((1, 1, 2, 5, 20)))]
    return (b"\x1e".join(packets),)


def engine_packet(rng: Random) -> bytes:
    """One packet as it stands in a polling body."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(_ENGINE_PACKETS)
    if kind == 1:
        return b"b" + b64encode(rng.randbytes(rng.choice((0, 1, 2, 3, 50))))
    return packet(rng)[0]


# MessagePack, every form of every type: https://github.com/msgpack/msgpack/blob/master/spec.md


# What JSON has no word for: other keys than texts, NaN, times and other extensions.
_FOREIGN: Final = (
    b"\x81\xc0\x01", b"\x81\x01\x01", b"\x81\xc4\x01a\x01", b"\x81\xcb\x7f\xf8\0\0\0\0\0\0\x01",
    b"\x81\xc3\x01", b"\x81\x91\x01\x01", b"\x81\x80\x01", b"\xcb\x7f\xf8\0\0\0\0\0\0",
    b"\xcb\x7f\xf0\0\0\0\0\0\0", b"\xca\x3f\x80\0\0", b"\xd4\0\0", b"\xd4\x05\0", b"\xc7\0\0",
    b"\xd6\xff\0\0\0\1", b"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\xc7\x0c\xff" + bytes(12),
    b"\xa1\xff", b"\xa3\xed\xa0\x80", b"\xc1",
)  # fmt: skip


def msgpack_packet(rng: Random) -> Case:
    """A Socket.IO packet as socket.io-msgpack-parser writes it: one binary message."""
    kind = rng.choice(tuple(_PACKET_TYPES))
    content: dict[str, Any] = {"type": _PACKET_TYPES[kind], "nsp": rng.choice(NAMESPACES)}
    if kind in {"event", "ack"}:
        content["data"] = arguments(rng, kind)
    elif kind == "connect" and rng.random() < 0.5:
        content["data"] = {"token": rng.choice(_TEXTS)}
    if kind == "ack" or (kind == "event" and rng.random() < 0.5):
        content["id"] = ack_number(rng)
    keys = list(content)
    rng.shuffle(keys)
    return (pack(rng, {key: content[key] for key in keys}),)


def pack(rng: Random, content: Any) -> bytes:
    """MessagePack of a value, in the shortest form or, now and then, in a longer one."""
    if rng.random() < 0.02:
        return rng.choice(_FOREIGN)
    longer = rng.choice((0, 0, 0, 1, 2))
    if content is None or isinstance(content, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[content]
    if isinstance(content, int):
        return _pack_int(rng, content)
    if isinstance(content, float):
        return struct.pack(">Bd", 0xCB, content)
    if isinstance(content, bytes):
        return _sized(len(content), ((0xC4, 8), (0xC5, 16), (0xC6, 32)), longer) + content
    if isinstance(content, str):
        text = content.encode()
        forms = ((0xA0, 5), (0xD9, 8), (0xDA, 16), (0xDB, 32))
        return _sized(len(text), forms, longer) + text
    if isinstance(content, list):
        head = _sized(len(content), ((0x90, 4), (0xDC, 16), (0xDD, 32)), longer)
        times = len(content) if len(content) >= _LONG else 1
        return head + b"".join(pack(rng, item) for item in content[::times]) * times
    head = _sized(len(content), ((0x80, 4), (0xDE, 16), (0xDF, 32)), longer)
    return head + b"".join(pack(rng, part) for pair in content.items() for part in pair)


def _sized(size: int, forms: tuple[tuple[int, int], ...], longer: int) -> bytes:
    """The first byte and the size, in the shortest form that holds it or a longer one."""
    fitting = [form for form in forms if size < 1 << form[1]]
    first, bits = fitting[min(longer, len(fitting) - 1)]
    return bytes((first | size,)) if bits < 8 else bytes((first,)) + size.to_bytes(bits // 8, "big")


def _pack_int(rng: Random, number: int) -> bytes:
    if -32 <= number < 128 and rng.random() < 0.8:
        return struct.pack("b" if number < 0 else "B", number)
    forms = zip((0xCC, 0xCD, 0xCE, 0xCF, 0xD0, 0xD1, 0xD2, 0xD3), "BHIQbhiq", strict=True)
    fitting: list[bytes] = []
    for first, form in forms:
        try:
            fitting.append(struct.pack(f">B{form}", first, number))
        except struct.error:
            continue
    return rng.choice(fitting)


_HEADERS: Final = (
    "Host: test", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
_OTHER_HEADERS: Final = (
    "Connection: keep-alive, Upgrade", "Upgrade: WebSocket", "Content-Length: 0",
    "Content-Length: 5", "Transfer-Encoding: chunked", "Origin: http://x", "X-Forwarded-For: 1",
    "Sec-WebSocket-Key: AAAA", "Sec-WebSocket-Version: 8", "Cookie: a=b", " folded: x", "broken",
    "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: chat", "X:",
)  # fmt: skip
_QUERIES: Final = (
    "?EIO=4&transport=websocket", "?EIO=3&transport=websocket", "?transport=websocket&EIO=4&sid=x",
    "", "?EIO=4&transport=polling", "?EIO=4&transport=websocket&sid=", "?%", "?EIO=4;transport=a",
    "?EIO=4&EIO=4&transport=websocket&transport=polling",
)  # fmt: skip


def upgrade_head(rng: Random) -> Case:
    """The head of a request, without the empty line that ends it; mostly an upgrade."""
    headers = list(_HEADERS)
    for _ in range(rng.choice((0, 0, 1, 2))):
        headers[rng.randrange(len(headers))] = rng.choice(_OTHER_HEADERS)
    headers += rng.sample(_OTHER_HEADERS, rng.choice((0, 0, 1, 3)))
    if rng.random() < 0.5:
        rng.shuffle(headers)
    path = rng.choice(("/socket.io/", "/socket.io/", "/socket.io", "//socket.io/", "http://h:x/"))
    method = rng.choice(("GET", "GET", "GET", "POST", "get", "OPTIONS"))
    version = rng.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2"))
    first = f"{method} {path}{rng.choice(_QUERIES)} {version}"
    return ("\r\n".join((first, *headers)).encode(),)


def steps(operations: int, arguments_of: Callable[[Random], Case]) -> Callable[[Random], Case]:
    """Sequences of steps: each part is an operation's number and its argument."""

    def make(rng: Random) -> Case:
        return tuple(
            bytes((rng.randrange(operations),)) + rng.choice(arguments_of(rng))
            for _ in range(rng.choice((1, 4, 12, 30)))
        )

    return make
