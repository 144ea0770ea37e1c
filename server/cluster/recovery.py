"""Recovery of connections at another node than theirs: what that takes, put together."""

import asyncio
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.runtime.node import Node
from server.cluster.balances import Balances
from server.cluster.cluster import Cluster
from server.cluster.recoveries import Recoveries
from server.cluster.recovery_log import RecoveryLog
from server.sockets.server import SocketServer
from storage.streams import RedisStreams

# How long a node that starts waits for its log, without which its clients can come back only here.
_START_LIMIT_S: Final = 1.0
_START_LOOK_S: Final = 0.01


class FarRecovery:
    """The log of this node, and the way to those of others. Made inside the running loop."""

    def __init__(
        self, url: str, name: str, cluster: Cluster, sockets: SocketServer, node: Node
    ) -> None:
        hub, recovery = sockets.hub, sockets.recovery
        kept_s = recovery.bounds.kept_s
        self._streams = RedisStreams(url, name, hub.epoch, int(kept_s * 1_000))
        self.log = RecoveryLog(self._streams, hub, cluster.member, kept_s)
        self.recoveries = Recoveries(
            cluster.exchange,
            self._streams,
            recovery,
            lambda member: member in cluster.membership.members,
            Balances(node).tell,
        )
        hub.event_log = self.log
        recovery.formers = self.recoveries
        sockets.engine.before_write = self.log.flush
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin the log, before anybody comes; without Redis it begins later."""
        self._task = asyncio.create_task(self._streams.run())
        end_s = asyncio.get_running_loop().time() + _START_LIMIT_S
        while (  # noqa: ASYNC110 - it happens once, at the start
            not self._streams.connected and asyncio.get_running_loop().time() < end_s
        ):
            await asyncio.sleep(_START_LOOK_S)

    async def close(self) -> None:
        """Write what is left to write, and no more."""
        self.log.flush()
        self._streams.close()
        self.recoveries.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class RecoveryCollector(Collector):
    """Reads what there is for clients that come back to other nodes."""

    def __init__(self, recovery: FarRecovery) -> None:
        self._log = recovery.log

    def collect(self) -> Iterator[Metric]:
        """All metrics, as they stand now."""
        log = self._log
        yield GaugeMetricFamily(
            "pitboss_recovery_log_bytes", "What is written down for them.", value=log.held_bytes
        )
        yield GaugeMetricFamily(
            "pitboss_recovery_log_records", "Clients that may come back.", value=log.records
        )
        yield CounterMetricFamily(
            "pitboss_recovery_log_begun",
            "How often the log was begun: each time but the first, Redis had been away.",
            value=log.begun,
        )
