"""Whether the node lives, and whether it should get players."""

from collections.abc import Callable

from aiohttp import web


class Health:
    """`/healthz` while the process answers at all; `/readyz` while it can take bets."""

    def __init__(self, ready: Callable[[], dict[str, bool]]) -> None:
        self._ready = ready

    def add_to(self, app: web.Application) -> None:
        """Register both."""
        app.router.add_get("/healthz", self._live)
        app.router.add_get("/readyz", self._is_ready)

    async def _live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _is_ready(self, _request: web.Request) -> web.Response:
        checks = self._ready()
        ready = all(checks.values())
        return web.json_response({"ready": ready, "checks": checks}, status=200 if ready else 503)
