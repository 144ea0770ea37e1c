"""The game floor: what the socket layer serves. It lets players in and routes what they send."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec

from actors.decision import Announcement, Notice, Push
from protocol import disconnects
from protocol.commands.auth import TokenExpiring
from protocol.errors import MALFORMED, SESSION_REVOKED, TOO_MANY_USER_CONNECTIONS, Failure
from protocol.socketio import MAIN_NAMESPACE, Argument
from server.allowance import Allowance
from server.auth.identity import Identity
from server.auth.service import Accounts
from server.caller import Caller
from server.hub import Hub
from server.reply import SocketAnswer
from server.router import Router
from server.sockets.socket import Ack, Socket

Key = TypeVar("Key")

log = logging.getLogger(__name__)

# How long before its end a token is announced: enough for a refresh over a bad connection.
EXPIRING_MS: Final = 60_000
# Sessions that ended a moment ago, for handshakes whose look-up was under way just then. A look-up
# takes milliseconds; the oldest is forgotten, by then the database answers for it.
MAX_ENDED: Final = 1_000


class Player(msgspec.Struct, frozen=True, array_like=True):
    """Who sits at a socket, and whether they know that their token ends soon."""

    identity: Identity
    warned: bool


class Floor:
    """Everybody who plays on this node."""

    def __init__(
        self,
        accounts: Accounts,
        allowance: Allowance,
        now_ms: Callable[[], int],
        *,
        max_connections_per_user: int,
    ) -> None:
        self.namespaces = frozenset({MAIN_NAMESPACE})
        self._accounts = accounts
        self._allowance = allowance
        self._now_ms = now_ms
        self._router: Router | None = None
        self._max_connections_per_user = max_connections_per_user
        self._by_session: dict[UUID, set[Socket]] = {}
        self._by_user: dict[int, set[Socket]] = {}
        self._ended: dict[UUID, None] = {}

    def bind(self, router: Router) -> None:
        """Open the floor. The router's handlers need the floor, so it comes second."""
        self._router = router

    async def connect(self, socket: Socket, auth: Mapping[str, Any]) -> None:
        """Let a player in by the token of the handshake. Raises the Failure they are told."""
        token = auth.get("token")
        if token is not None and not isinstance(token, str):
            raise Failure(MALFORMED, field="token")
        identity = await self._accounts.authenticate(token)
        if identity.session_id in self._ended:
            raise Failure(SESSION_REVOKED)
        self._check_connections(identity, socket, auth)
        self._seat(socket, identity)

    def _seat(self, socket: Socket, identity: Identity) -> None:
        budgets = self._allowance.of_user(identity.user_id, socket.address)
        socket.session = Caller(identity, socket.address, budgets, socket)
        # Whoever logs in again is another: logging out is final.
        socket.owner = identity.session_id
        socket.join(f"user:{identity.user_id}")
        self._by_session.setdefault(identity.session_id, set()).add(socket)
        self._by_user.setdefault(identity.user_id, set()).add(socket)

    def _check_connections(
        self, identity: Identity, socket: Socket, auth: Mapping[str, Any]
    ) -> None:
        """Raise the Failure that refuses a player one connection more, if one does.

        The one that a client lost, and is about to take over, does not count.
        """
        limit = self._max_connections_per_user
        lost = (auth.get("pid"), identity.session_id) if socket.history is not None else None
        # A connection has a socket for each namespace it joined.
        connections = {
            other.connection
            for other in self._by_user.get(identity.user_id, ())
            if (other.pid, other.owner) != lost
        }
        if len(connections | {socket.connection}) > limit:
            raise Failure(TOO_MANY_USER_CONNECTIONS, limit=limit)

    def state_of(self, socket: Socket) -> Player:
        """What another node has to know of a player whose connection goes on there."""
        caller: Caller = socket.session
        assert caller.identity is not None, "players have one"
        return Player(caller.identity, caller.warned)

    def take_up(self, socket: Socket, state: msgspec.Raw) -> None:
        """Seat a player whose connection was at another node. Their budgets are full again."""
        player = msgspec.msgpack.decode(state, type=Player)
        self._seat(socket, player.identity)
        socket.session.warned = player.warned
        if player.identity.session_id in self._ended:
            socket.disconnect(disconnects.SESSION_ENDED)

    def event(self, socket: Socket, name: str, args: Sequence[Argument], ack: Ack | None) -> None:
        """Route one command."""
        assert self._router is not None
        answer = SocketAnswer(socket, ack, self._now_ms)
        if len(args) > 1:
            answer.reject(Failure(MALFORMED, reason="A command takes one argument."))
            return
        self._router.dispatch(socket.session, name, args[0] if args else None, answer)

    def disconnected(self, socket: Socket, _reason: str) -> None:
        """Forget the socket."""
        identity = socket.session.identity
        _discard(self._by_session, identity.session_id, socket)
        _discard(self._by_user, identity.user_id, socket)

    def renewed(self, caller: Caller, before: UUID) -> None:
        """A socket's identity was renewed, perhaps by a token of another session."""
        socket, identity = caller.socket, caller.identity
        if socket is None or identity is None or not socket.connected:
            return
        _discard(self._by_session, before, socket)
        socket.owner = identity.session_id
        if identity.session_id in self._ended:
            socket.disconnect(disconnects.SESSION_ENDED)
            return
        self._by_session.setdefault(identity.session_id, set()).add(socket)

    def session_ended(self, session_id: UUID) -> None:
        """End the sockets of a revoked session, after the answers of this moment are sent."""
        self._ended[session_id] = None
        if len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        for socket in tuple(self._by_session.get(session_id, ())):
            asyncio.get_running_loop().call_soon(socket.disconnect, disconnects.SESSION_ENDED)

    @property
    def sessions(self) -> list[UUID]:
        """The sessions that have sockets here."""
        return list(self._by_session)

    def check_tokens(self) -> None:
        """Announce tokens that end soon, and end the sockets whose token has ended."""
        now_ms = self._now_ms()
        for sockets in tuple(self._by_session.values()):
            for socket in tuple(sockets):
                self._check_token(socket, now_ms)

    def _check_token(self, socket: Socket, now_ms: int) -> None:
        caller: Caller = socket.session
        assert caller.identity is not None
        left_ms = caller.identity.expires_at_ms - now_ms
        if left_ms <= 0:
            socket.disconnect(disconnects.TOKEN_EXPIRED)
        elif left_ms <= EXPIRING_MS and not caller.warned:
            caller.warned = True
            socket.emit("token:expiring", TokenExpiring(expires_in=left_ms // 1_000))


def _discard(groups: dict[Key, set[Socket]], key: Key, socket: Socket) -> None:
    sockets = groups.get(key)
    if sockets is not None:
        sockets.discard(socket)
        if not sockets:
            del groups[key]


class Publishing:
    """Hands what actors announce to the hub's rooms."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def publish(self, push: Announcement, origin: object | None) -> None:
        """Tell the room. The socket that asked knows a state from its answer."""
        room, event, data = push.room, push.event, push.data
        if type(push) is Push:
            socket = origin if isinstance(origin, Socket) else None
            self._hub.update(MAIN_NAMESPACE, room, event, push.key, data, origin=socket)
        elif type(push) is Notice:
            self._hub.emit(
                MAIN_NAMESPACE, room, event, data, volatile=push.volatile, urgent=push.urgent
            )
        else:
            self._hub.gather(MAIN_NAMESPACE, room, event, data)
