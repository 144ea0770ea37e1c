"""Other members as this one speaks with them about sessions: over HTTP, at their inner doors."""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import aiohttp
from aiohttp import hdrs
from multidict import CIMultiDictProxy

from protocol.errors import UNREACHABLE, Failure
from server.cluster.credential import Credential
from server.sockets.elsewhere import Far

ADDRESS: Final = "X-Pitboss-Address"
"""The header that says for which client a member asks."""
POLL: Final = "X-Pitboss-Poll"
"""The header of an answer that says which of a session's polls it ends."""
# It becomes part of an address, and comes from a client.
_SID: Final = re.compile("[A-Za-z0-9_-]{1,64}")
# Idle connections between members are let go after this, well before the other side would.
_KEEPALIVE_S: Final = 30.0
# A member of the same network that takes no connection in this time is not there.
_CONNECT_S: Final = 2.0


class PeerAnswer(NamedTuple):
    """What a member answered."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]


class Peers:
    """The way to sessions of other members.

    `address_of` tells host and port of a member that is there now, if its sessions can be reached.
    """

    def __init__(self, me: str, address_of: Callable[[str], str | None], secret: str) -> None:
        self._me = me
        self._address_of = address_of
        self._credential = Credential(secret)
        # Made when it is needed first.
        self._session: aiohttp.ClientSession | None = None

    def find(self, sid: str) -> Far | None:
        """The session `sid`, if it began at another member that is there now."""
        member = sid[: len(self._me)]
        if member == self._me or not self._address_of(member) or not _SID.fullmatch(sid):
            return None
        return Far(member, sid)

    async def ask(
        self, far: Far, what: str, timeout_s: float, body: bytes = b"", client: str = ""
    ) -> PeerAnswer:
        """Ask the member of a session to do something with it, for a client at an address.

        Raises Failure `unreachable` where no answer comes in time: it may have been done.
        """
        address = self._address_of(far.member)
        if not address:
            raise Failure(UNREACHABLE)
        # A POST in every case: aiohttp repeats others by itself where a connection breaks, and a
        # poll that is repeated loses what its first answer carried.
        url = f"http://{address}/sessions/{far.sid}/{what}"
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        shown = self._credential.shown(far.sid, what, client, body)
        headers = {hdrs.AUTHORIZATION: shown, ADDRESS: client}
        try:
            async with self._http().post(
                url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                # Whole: it is no larger than what may wait for a connection.
                return PeerAnswer(answer.status, await answer.read(), answer.headers)
        except (aiohttp.ClientError, TimeoutError):
            raise Failure(UNREACHABLE) from None

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Every poll that waits has a connection, and came in on one that is bounded here.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING),
            )
        return self._session

    async def close(self) -> None:
        """Ask no more."""
        if self._session is not None:
            await self._session.close()
            self._session = None
