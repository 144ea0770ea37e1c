"""Where a generator's connections go: a server's address, and the request that opens a socket."""

import ssl
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit


def upgrade_request(host: str, path: str = "") -> bytes:
    """The request for a WebSocket of Engine.IO 4 at a host, whose API is below `path`."""
    return (
        f"GET {path}/socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    ).encode()


@dataclass(frozen=True, slots=True)
class Target:
    """A server, from its URL."""

    host: str
    port: int
    request: bytes
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL such as https://floor.example. Raises ValueError if it is none."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or parts.hostname is None:
            raise ValueError(f"{url} is not the URL of a server, such as http://127.0.0.1:8080")
        if "?" in url or "#" in url:
            raise ValueError(f"{url} has a query or a fragment, and a server's URL has none")
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (443 if tls else 80)
        return cls(parts.hostname, port, upgrade_request(parts.netloc, parts.path.rstrip("/")), tls)
