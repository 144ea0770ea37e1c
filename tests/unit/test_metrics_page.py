"""The metrics page: made anew at most once a second, however often it is asked for."""

import gzip
from collections.abc import Iterator

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from server.metrics import KEPT_S, MetricsPage


class Counting(Collector):
    """Counts how often it is looked at."""

    def __init__(self) -> None:
        self.looks = 0

    def collect(self) -> Iterator[GaugeMetricFamily]:
        self.looks += 1
        yield GaugeMetricFamily("looks", "Looks.", value=self.looks)


async def test_it_is_made_once_a_second_and_compressed_once() -> None:
    now_s = 0.0
    registry, counting = CollectorRegistry(auto_describe=False), Counting()
    registry.register(counting)
    before = counting.looks
    app = web.Application()
    MetricsPage(registry, lambda: now_s).add_to(app)
    async with TestClient(TestServer(app), auto_decompress=False) as client:

        async def ask(coding: str) -> tuple[str | None, bytes]:
            answer = await client.get("/metrics", headers={"Accept-Encoding": coding})
            return answer.headers.get("Content-Encoding"), await answer.read()

        plain = await ask("identity")
        packed = await ask("gzip")
        assert plain == (None, gzip.decompress(packed[1]))
        assert packed[0] == "gzip"
        assert counting.looks == before + 1

        now_s = KEPT_S
        assert await ask("identity") != plain
        assert counting.looks == before + 2
