"""What the socket layer has done, as plain numbers for the metrics page."""

from collections import Counter


class Counters:
    """Totals since the start, and connections open now. Read them; only this layer writes."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "connects_refused",
        "disconnects",
        "forwarded",
        "open_by_transport",
        "opened",
        "packets_in",
        "packets_out",
        "refused",
        "taken_over",
        "unread",
        "upgrades",
    )

    def __init__(self) -> None:
        self.open_by_transport: Counter[str] = Counter()
        self.opened = 0
        self.upgrades = 0
        # Requests of sessions that are another node's, and sessions taken over from one.
        self.forwarded = 0
        self.taken_over = 0
        self.packets_in = 0
        self.packets_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        # By the name of their reason (protocol/disconnects.py).
        self.disconnects: Counter[str] = Counter()
        # Answers over HTTP that were not read in time.
        self.unread = 0
        # Connections, handshakes and requests over HTTP by the code of the error they were told
        # (protocol/errors.py), and attempts to join a namespace.
        self.refused: Counter[str] = Counter()
        self.connects_refused: Counter[str] = Counter()
