"""WebSocket frames as a client needs them (RFC 6455, section 5.2), cheap to make and to read.

A generator must cost less than what it measures, so it has no library between it and its sockets.
"""

import os
from struct import Struct
from typing import Final

_TEXT: Final = 0x81
_MASKED: Final = 0x80
MASK_BYTES: Final = 4
_CLOSE: Final = 0x88
_MEDIUM: Final = Struct("!BBH")
_LONG: Final = Struct("!BBQ")


class FrameError(Exception):
    """The server sent a frame that no text message is made of: a closing one, most likely."""


def masked(payload: bytes) -> bytes:
    """A client's text frame; its mask is random, as the standard demands."""
    mask = os.urandom(MASK_BYTES)
    pad = (mask * (len(payload) // MASK_BYTES + 1))[: len(payload)]
    hidden = int.from_bytes(payload) ^ int.from_bytes(pad)
    return masked_header(len(payload)) + mask + hidden.to_bytes(len(payload))


def masked_header(length: int) -> bytes:
    """What comes before the mask in a client's text frame."""
    return _header(length, _MASKED)


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
            raise FrameError(_complaint(data[at : at + 130]))
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


def _complaint(frame: bytes) -> str:
    """What a frame says that should not have come: a closing one has a code and a reason."""
    if frame[0] == _CLOSE and len(frame) >= 4:
        code = int.from_bytes(frame[2:4])
        reason = frame[4 : 2 + frame[1]].decode(errors="replace")
        return f"the server closed a connection: {code} {reason}"
    return f"the server sent the frame {frame!r}"
