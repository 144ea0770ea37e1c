"""The WebSocket upgrade that a request may ask for: read off its head, and written for picows.

Source: RFC 6455, section 4.2.1.
"""

import binascii
from base64 import b64decode
from typing import Final

_KEY_BYTES: Final = 16


class Upgrade:
    """A request that asks, rightly, for a WebSocket."""

    __slots__ = ("headers", "target")

    def __init__(self, target: str, headers: dict[str, str]) -> None:
        self.target = target
        self.headers = headers

    @property
    def offers_deflate(self) -> bool:
        """The client would compress messages (RFC 7692)."""
        return "permessage-deflate" in self.headers.get("Sec-Websocket-Extensions", "")

    def request(self) -> bytes:
        """The request with what picows needs and no more.

        picows keeps what it is given, and does not know that `Connection` may hold several words.
        """
        key = self.headers["Sec-Websocket-Key"]
        return (
            f"GET {self.target} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        ).encode()


def read_upgrade(head: bytes) -> Upgrade | None:
    """The WebSocket upgrade that the head of a request asks for; None for any other request."""
    try:
        lines = head.decode("ascii").split("\r\n")
    except UnicodeDecodeError:
        return None
    words = lines[0].split(" ")
    # picows gets the first line, so that nothing may hide in it.
    if not lines[0].isprintable() or len(words) != 3 or words[0] != "GET" or words[2] != "HTTP/1.1":
        return None
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        title = name.title()
        # A header given twice, folded or broken is left to aiohttp's parser to judge.
        if not colon or title in headers or name != name.strip():
            return None
        headers[title] = value.strip(" \t")
    return Upgrade(words[1], headers) if _asks_for_websocket(headers) else None


def _asks_for_websocket(headers: dict[str, str]) -> bool:
    connection = headers.get("Connection", "").lower()
    try:
        key = b64decode(headers.get("Sec-Websocket-Key", ""), validate=True)
    except binascii.Error:
        return False
    return (
        headers.get("Upgrade", "").lower() == "websocket"
        and "upgrade" in [word.strip() for word in connection.split(",")]
        and headers.get("Sec-Websocket-Version") == "13"
        and len(key) == _KEY_BYTES
        and headers.get("Content-Length", "0") == "0"
        and "Transfer-Encoding" not in headers
    )
