"""What the socket layer needs of other nodes, where sessions may be that requests here name."""

from typing import NamedTuple, Protocol

from aiohttp import web

from server.sockets.connection import Carried


class Far(NamedTuple):
    """A session of another member of the cluster."""

    member: str
    sid: str


class Elsewhere(Protocol):
    """The way to sessions of other members."""

    def find(self, sid: str) -> Far | None:
        """The session `sid`, if it is one of a member that is there now."""

    async def forward(self, far: Far, request: web.Request, address: str) -> web.Response:
        """What the session answers a request of long-polling, from a client at `address`.

        Raises the `Failure` that the request is answered with. Nothing is forwarded twice.
        """

    def crossing(self, far: Far) -> Carried:
        """The session, for a WebSocket here that is to carry it on."""
