"""What rooms across nodes tell Prometheus."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.cluster.rooms import FarRooms


class RoomsCollector(Collector):
    """Reads the numbers off the rooms."""

    def __init__(self, rooms: FarRooms) -> None:
        self._rooms = rooms

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they stand now."""
        rooms = self._rooms
        for name, text, value in (
            ("published", "Events told to rooms of other nodes.", rooms.publisher.published),
            ("heard", "Events of other nodes told to rooms here.", rooms.heard),
            ("gaps", "Events of other nodes found missing.", rooms.gaps),
            ("interrupted", "Rooms here told that they may lack something.", rooms.interrupted),
        ):
            yield CounterMetricFamily(f"pitboss_far_rooms_{name}", text, value=value)
        yield GaugeMetricFamily(
            "pitboss_far_rooms_owed",
            "Rooms of other nodes that lack something, and are still to be told so.",
            value=rooms.publisher.owed,
        )
