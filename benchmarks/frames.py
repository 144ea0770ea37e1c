"""WebSocket frames as a client needs them (RFC 6455, section 5.2), cheap to make and to read.

A generator must cost less than what it measures, so it has no library between it and its sockets.
"""

import os
from struct import Struct
from typing import Final

_TEXT: Final = 0x81
_MASKED: Final = 0x80
_MEDIUM: Final = Struct("!BBH")
_LONG: Final = Struct("!BBQ")


class FrameError(Exception):
    """The server sent a frame that no text message is made of: a closing one, most likely."""


def masked(payload: bytes) -> bytes:
    """A client's text frame; its mask is random, as the standard demands."""
    mask = os.urandom(4)
    pad = (mask * (len(payload) // 4 + 1))[: len(payload)]
    hidden = int.from_bytes(payload) ^ int.from_bytes(pad)
    return _header(len(payload), _MASKED) + mask + hidden.to_bytes(len(payload))


def unmasked(payload: bytes) -> bytes:
    """A server's text frame."""
    return _header(len(payload), 0) + payload


def _header(length: int, masked_bit: int) -> bytes:
    if length < 126:
        return bytes((_TEXT, masked_bit | length))
    if length < 65_536:
        return _MEDIUM.pack(_TEXT, masked_bit | 126, length)
    return _LONG.pack(_TEXT, masked_bit | 127, length)


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The payloads of a server's whole text frames, and the bytes of one that is not whole yet.

    Raises:
        FrameError: There is another kind of frame among them.
    """
    payloads: list[bytes] = []
    at, end = 0, len(data)
    while end - at >= 2:
        if data[at] != _TEXT:
            raise FrameError(f"the server sent the frame {data[at : at + 100]!r}")
        length, begin = data[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if end - begin < size:
                break
            length, begin = int.from_bytes(data[begin : begin + size]), begin + size
        if end - begin < length:
            break
        at = begin + length
        payloads.append(data[begin:at])
    return payloads, data[at:]
