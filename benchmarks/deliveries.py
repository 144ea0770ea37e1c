"""What a crowd receives of broadcasts: every one by everybody, in order, and how long it took."""

from array import array
from math import ceil
from typing import Final

import msgspec

from benchmarks.line import Line, LineError

EVENT: Final = "benchmark:ticked"


class Publication(msgspec.Struct, forbid_unknown_fields=True):
    """One broadcast: when it was published, and how long it took to its recipients, in ns."""

    number: int
    published_ns: int
    recipients: int
    first_ns: int
    p50_ns: int
    p99_ns: int
    last_ns: int


class Tick(msgspec.Struct, forbid_unknown_fields=True):
    """The event that is broadcast. Its number tells what is missing, its time how late it is."""

    number: int
    published_ns: int
    text: str


class _Broadcast(msgspec.Struct, array_like=True):
    event: str
    tick: Tick


_DECODER = msgspec.json.Decoder(_Broadcast)


class Deliveries:
    """Every receipt of every broadcast, 8 bytes each."""

    def __init__(self) -> None:
        self._published_ns: dict[int, int] = {}
        self._taken_ns: dict[int, array[int]] = {}
        # A broadcast is the same bytes for everybody: it is decoded once.
        self._payload = b""
        self._tick = Tick(0, 0, "")

    def received(self, payload: bytes, now_ns: int) -> int:
        """Count one receipt, and return the broadcast's number.

        Raises:
            LineError: It is something else.
        """
        if payload != self._payload:
            self._decode(payload)
        tick = self._tick
        self._taken_ns[tick.number].append(now_ns - tick.published_ns)
        return tick.number

    def _decode(self, payload: bytes) -> None:
        try:
            self._tick = tick = _DECODER.decode(payload.removeprefix(b"42")).tick
        except msgspec.DecodeError as error:
            raise LineError(f"the server sent {payload[:200]!r}") from error
        self._payload = payload
        self._published_ns[tick.number] = tick.published_ns
        self._taken_ns.setdefault(tick.number, array("q"))

    def publications(self) -> list[Publication]:
        """What came of each broadcast, in their order."""
        return [
            _publication(number, self._published_ns[number], sorted(taken_ns))
            for number, taken_ns in sorted(self._taken_ns.items())
        ]


def _publication(number: int, published_ns: int, taken_ns: list[int]) -> Publication:
    def percentile(percent: float) -> int:
        return taken_ns[ceil(percent / 100 * len(taken_ns)) - 1]

    return Publication(
        number,
        published_ns,
        len(taken_ns),
        taken_ns[0],
        percentile(50),
        percentile(99),
        taken_ns[-1],
    )


class Watcher(Line):
    """A connection that receives broadcasts, each once and in order."""

    __slots__ = ("_deliveries", "_number")

    def __init__(self, auth: dict[str, str], deliveries: Deliveries) -> None:
        super().__init__(auth)
        self._deliveries = deliveries
        self._number = 0

    def message(self, payload: bytes, now_ns: int) -> None:
        """A broadcast has come.

        Raises:
            LineError: It is none, or not the one that follows the last.
        """
        number = self._deliveries.received(payload, now_ns)
        if self._number and number != self._number + 1:
            raise LineError(f"broadcast {number} came after {self._number}")
        self._number = number
