"""What can be set about the socket layer."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from protocol.bounds import DEFAULT_MAX_PAYLOAD_BYTES

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class SocketOptions:
    """Times and bounds of the socket layer; the defaults suit a public server."""

    # The Socket.IO clients' default.
    path: str = "/socket.io/"
    # As the reference server has it: a dead peer is noticed within 45 s.
    ping_interval_ms: int = 25_000
    ping_timeout_ms: int = 20_000
    max_payload_bytes: int = DEFAULT_MAX_PAYLOAD_BYTES
    # Whether permessage-deflate is taken where it is offered, at the price of the slower WebSocket.
    websocket_compression: bool = False
    # From the first byte to the end of the first request's head, and of a polling body.
    request_timeout_ms: int = 10_000
    # How long an answer over HTTP may find its reader's buffers full; 64 kB at 10 kbit/s take 52 s.
    # Past it the connection is cut.
    unread_timeout_ms: int = 60_000
    # From the handshake to the first joined namespace; also how long a token check may take.
    connect_timeout_ms: int = 10_000
    upgrade_timeout_ms: int = 10_000
    # How long a client that asked for it may be away and come back to what it missed.
    recovery_ms: int = 120_000
    # Of one player, so that nobody takes the places of others; the oldest is awaited no longer.
    max_awaited_per_owner: int = 20
    # How long a closing WebSocket may take to answer before it is cut off.
    close_timeout_ms: int = 2_000
    # Sessions, at 10 kB each when idle; more are told `overloaded`.
    max_connections: int = 20_000
    # Network connections that carry HTTP, polls included, or have not said what they carry. They
    # come and go; more are told `overloaded`.
    max_http_connections: int = 20_000
    # A household or a small office behind one address; more are told `too_many_connections`.
    max_connections_per_ip: int = 200
    # Sessions that are opened in a second; more wait their turn (turnstile.py).
    handshakes_per_second: int = 1_000
    retry_after_ms: int = 5_000
    # What waits for one slow client. A healthy one has a few packets here for less than a tick;
    # reaching either bound is `slow_consumer`.
    max_outbound_bytes: int = 1_048_576
    max_outbound_packets: int = 4_096
    # What one connection may send in a second, answered or not: many times what its budgets allow,
    # so only a flood reaches it. Past it: `flooding`.
    max_packets_per_second: int = 5_000
    # What all connections of one address may send in a second: a few at the bound above, or two
    # hundred that play fast. Past it the connection that sends goes: `address_flooding`; HTTP
    # requests and handshakes, which count as several packets, are told `rate_limited`.
    max_packets_per_second_per_ip: int = 20_000
    # Origins that browsers may connect from; None is any, which is safe as no cookie counts here.
    allowed_origins: frozenset[str] | None = None
    # Networks of proxies whose X-Forwarded-For is believed.
    trusted_proxies: frozenset[Network] = frozenset()
