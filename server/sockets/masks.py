"""What aiohttp's WebSocket leaves out: frames must be masked, and fragments can be a flood.

Source: RFC 6455, sections 5.1 and 5.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

_MASK_BIT: Final = 0x80
_OPCODE: Final = 0x0F
_CONTINUATION: Final = 0
_MASK_BYTES: Final = 4
# Bytes that follow a header's second one, by the length it says.
_EXTENSION_BYTES: Final = {126: 2, 127: 8}
# A header with reserved bits that no extension has: aiohttp closes for it as a protocol error.
_REFUSED: Final = b"\xff\x80"


class MaskedOnly(asyncio.Protocol):
    """Stands before the protocol that reads a WebSocket and lets only masked frames through.

    In place of an unmasked one comes a frame that is refused. It reads headers only, and holds one
    back until it is whole: less than 10 bytes.
    """

    __slots__ = ("_held", "_inner", "_rest_bytes", "on_fragment")

    def __init__(self, inner: asyncio.Protocol) -> None:
        self._inner = inner
        # Called for each fragment of a message but the first: aiohttp shows only whole messages.
        self.on_fragment: Callable[[], None] = _nothing
        self._held = b""
        # What is still to come of the frame whose header was read last.
        self._rest_bytes = 0

    @classmethod
    def guard(cls, transport: asyncio.Transport) -> MaskedOnly:
        """Check everything that comes on a network connection from now on."""
        guard = cls(cast(asyncio.Protocol, transport.get_protocol()))
        transport.set_protocol(guard)
        return guard

    def data_received(self, data: bytes) -> None:
        """Pass on whole headers, and payloads as they come."""
        data = self._held + data
        start = self._rest_bytes
        while start + 2 <= len(data):
            if not data[start + 1] & _MASK_BIT:
                self._held, self._rest_bytes = b"", 0
                self._inner.data_received(data[:start] + _REFUSED)
                return
            frame_bytes = _frame_bytes(data, start)
            if frame_bytes is None:
                break
            if data[start] & _OPCODE == _CONTINUATION:
                self.on_fragment()
            start += frame_bytes
        known = min(start, len(data))
        self._held = data[known:]
        self._rest_bytes = start - known
        if known:
            self._inner.data_received(data[:known])

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """The network's buffer is full."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The network's buffer has emptied."""
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The network connection has ended."""
        self._inner.connection_lost(exc)


def _nothing() -> None:
    """Nobody counts."""


def _frame_bytes(data: bytes, start: int) -> int | None:
    """The size of the masked frame that begins at `start`; None if its header is not whole."""
    length = data[start + 1] & ~_MASK_BIT
    header_bytes = 2 + _EXTENSION_BYTES.get(length, 0)
    if len(data) < start + header_bytes:
        return None
    if header_bytes > 2:
        length = int.from_bytes(data[start + 2 : start + header_bytes], "big")
    return header_bytes + _MASK_BYTES + length
