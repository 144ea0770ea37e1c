"""What the node tells Prometheus. Counters are plain numbers that are read when it asks."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from aiohttp import web
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.runtime.node import Node
from actors.runtime.post import Post
from actors.runtime.routes import OUTCOMES as REMOTE_OUTCOMES
from protocol.disconnects import REASONS
from server.cluster.cluster import Cluster
from server.commands.bets import BetCommands
from server.documents.refusals import CONNECTING
from server.http.body import Body
from server.router import Router
from server.sockets.recovery import OUTCOMES
from server.sockets.server import SocketServer
from server.totals import settled
from server.work import Work
from storage.journal import Journal

# Nobody scrapes more often, and whoever asks again and again must not keep the process busy.
KEPT_S: Final = 1.0

_ROWS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
_SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Commits:
    """Sizes and times of the journal's commits."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Histogram(
            "pitboss_commit_rows", "Facts in one commit.", buckets=_ROWS, registry=registry
        )
        self._seconds = Histogram(
            "pitboss_commit_seconds",
            "Time from a batch's first byte to its commit.",
            buckets=_SECONDS,
            registry=registry,
        )

    def observe(self, rows: int, seconds: float) -> None:
        """One batch was committed."""
        self._rows.observe(rows)
        self._seconds.observe(seconds)


def lag_histogram(registry: CollectorRegistry) -> Histogram:
    """The lateness of the event loop."""
    return Histogram(
        "pitboss_loop_lag_seconds",
        "How late the event loop was, sampled ten times a second.",
        buckets=_SECONDS,
        registry=registry,
    )


class NodeCollector(Collector):
    """Reads everything else off the node's own parts."""

    def __init__(
        self,
        node: Node,
        journal: Journal,
        post: Post,
        router: Router,
        bets: BetCommands,
        sockets: SocketServer,
        work: Work,
    ) -> None:
        self._node = node
        self._journal = journal
        self._post = post
        self._router = router
        self._bets = bets
        self._sockets = sockets
        self._work = work

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they stand now."""
        yield from self._commands()
        yield from self._actors()
        yield from self._connections()

    def _commands(self) -> Iterator[Metric]:
        commands = CounterMetricFamily(
            "pitboss_commands", "Commands answered.", labels=("command", "outcome")
        )
        for name, tally in self._router.tallies.items():
            for outcome, count in tally.items():
                commands.add_metric((name, outcome), count)
        yield commands
        yield CounterMetricFamily(
            "pitboss_bets",
            "Bets answered with a result, repeated requests included.",
            value=settled(self._router.tallies, self._bets),
        )

    def _actors(self) -> Iterator[Metric]:
        yield _gauge("pitboss_actors_live", "Actors in memory.", self._node.live)
        depth = GaugeMetricFamily("pitboss_queue_depth", "What waits.", labels=("queue",))
        for lane in self._journal.lanes:
            depth.add_metric((f"lane_{lane.number}",), lane.depth)
        depth.add_metric(("outbox",), self._post.under_way)
        depth.add_metric(("hydration",), self._node.hydrating)
        depth.add_metric(("lookups",), self._node.looking_up)
        depth.add_metric(("work",), self._work.under_way)
        depth.add_metric(("handshakes",), len(self._sockets.engine.admission.turnstile))
        yield depth
        yield _gauge("pitboss_lanes_open", "Lanes that own their shards.", self._open_lanes())

    def _open_lanes(self) -> int:
        return sum(lane.open for lane in self._journal.lanes)

    def _connections(self) -> Iterator[Metric]:
        counters = self._sockets.counters
        yield _labelled(
            GaugeMetricFamily, "pitboss_connections", "Open.", counters.open_by_transport
        )
        # Every name from the start: a rate over a counter that appears with its first event misses
        # that event, and an operator finds what there is to watch.
        yield _labelled(
            CounterMetricFamily,
            "pitboss_disconnects",
            "Sessions and sockets that ended, by reason.",
            _with_zeros(counters.disconnects, REASONS),
        )
        refusals = [kind.code for kind in CONNECTING]
        for name, text, counts in (
            (
                "handshakes",
                "Connections, handshakes and HTTP requests refused, by error.",
                counters.refused,
            ),
            ("connects", "Attempts to join refused, by error.", counters.connects_refused),
        ):
            yield _labelled(
                CounterMetricFamily, f"pitboss_{name}_refused", text, _with_zeros(counts, refusals)
            )
        yield _gauge("pitboss_sockets", "Joined namespaces.", self._sockets.sockets)
        recovery = self._sockets.recovery
        yield _gauge("pitboss_sockets_awaited", "Lost, and may come back.", recovery.absent)
        yield _gauge("pitboss_history_bytes", "Events kept for them.", recovery.held_bytes)
        yield _labelled(
            CounterMetricFamily,
            "pitboss_recoveries",
            "Attempts to come back as a lost socket, by outcome.",
            _with_zeros(recovery.outcomes, OUTCOMES),
        )
        for name, value in (
            ("connections_opened", counters.opened),
            ("upgrades", counters.upgrades),
            ("requests_forwarded", counters.forwarded),
            ("sessions_taken_over", counters.taken_over),
            ("answers_unread", counters.unread),
            ("packets_in", counters.packets_in),
            ("packets_out", counters.packets_out),
            ("bytes_in", counters.bytes_in),
            ("bytes_out", counters.bytes_out),
            ("events_dropped", self._sockets.hub.dropped),
            ("items_unlisted", self._sockets.hub.unlisted),
        ):
            yield CounterMetricFamily(f"pitboss_{name}", f"Total {name}.", value=value)


class ClusterCollector(Collector):
    """Reads what a member of a cluster says of it off its parts."""

    def __init__(self, cluster: Cluster, journal: Journal) -> None:
        self._cluster = cluster
        self._journal = journal

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they stand now."""
        yield from self._shards()
        yield from self._bus()
        yield from self._remote()

    def _shards(self) -> Iterator[Metric]:
        keeper, membership = self._cluster.keeper, self._cluster.membership
        sighted = membership.sighted
        yield _gauge("pitboss_cluster_sighted", "Whether members were seen just now.", sighted)
        yield _gauge(
            "pitboss_cluster_members", "Members at the last look.", len(membership.members)
        )
        yield _gauge("pitboss_shards_owned", "Shards of this node.", len(self._journal.owned))
        yield _gauge("pitboss_shards_wanted", "Those that should be its.", len(keeper.wanted))
        yield _labelled(
            CounterMetricFamily,
            "pitboss_shards_moved",
            "Shards claimed and handed over.",
            Counter({kind: keeper.counts[kind] for kind in ("claimed", "handed_over")}),
        )
        yield CounterMetricFamily(
            "pitboss_silent_ended",
            "Connections to PostgreSQL of silent members that were ended.",
            value=keeper.counts["ended"],
        )

    def _bus(self) -> Iterator[Metric]:
        bus = self._cluster.bus
        traffic = bus.traffic
        yield _gauge("pitboss_bus_connected", "Whether the bus is there.", bus.connected)
        yield _gauge("pitboss_bus_unsent_bytes", "What Redis has not taken yet.", bus.unsent_bytes)
        yield _labelled(
            CounterMetricFamily,
            "pitboss_bus_frames",
            "Frames on the bus; those refused were not sent.",
            Counter(
                {"in": traffic.frames_in, "out": traffic.frames_out, "refused": traffic.refused}
            ),
        )
        yield _labelled(
            CounterMetricFamily,
            "pitboss_bus_bytes",
            "Their bytes.",
            Counter({"in": traffic.bytes_in, "out": traffic.bytes_out}),
        )
        yield CounterMetricFamily(
            "pitboss_bus_joined", "How often the bus was joined.", value=traffic.joined
        )
        yield CounterMetricFamily(
            "pitboss_bus_forged",
            "Frames without the cluster's seal, which were dropped.",
            value=self._cluster.exchange.forged,
        )

    def _remote(self) -> Iterator[Metric]:
        routes = self._cluster.routes
        yield _labelled(
            CounterMetricFamily,
            "pitboss_remote_commands",
            "Commands to other nodes, by how they ended.",
            _with_zeros(routes.outcomes, REMOTE_OUTCOMES),
        )
        yield CounterMetricFamily(
            "pitboss_remote_commands_served",
            "Commands that came from other nodes.",
            value=routes.served,
        )
        yield _gauge("pitboss_remote_commands_asked", "Under way to other nodes.", routes.asked)
        yield _gauge("pitboss_parked", "Commands that wait for a shard's owner.", routes.parked)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _with_zeros(counts: Counter[str], names: Iterable[str]) -> Counter[str]:
    return Counter({**dict.fromkeys(names, 0), **counts})


def _labelled(
    family: Callable[..., GaugeMetricFamily | CounterMetricFamily],
    name: str,
    text: str,
    counts: Counter[str],
) -> Metric:
    metric = family(name, text, labels=("kind",))
    for kind, count in counts.items():
        metric.add_metric((kind,), count)
    return metric


class MetricsPage:
    """`/metrics`, in the text form that Prometheus reads."""

    def __init__(self, registry: CollectorRegistry, clock_s: Callable[[], float]) -> None:
        self._registry = registry
        self._clock_s = clock_s
        self._body: Body | None = None
        self._made_at_s = 0.0

    def add_to(self, app: web.Application) -> None:
        """Register the page."""
        app.router.add_get("/metrics", self._page)

    async def _page(self, request: web.Request) -> web.Response:
        now_s = self._clock_s()
        if self._body is None or now_s - self._made_at_s >= KEPT_S:
            self._body, self._made_at_s = Body(generate_latest(self._registry)), now_s
        return self._body.response(request, {"Content-Type": CONTENT_TYPE_LATEST})
