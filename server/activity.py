"""Who has been active in a room: players who sent a command from there not long ago."""

from collections.abc import Callable
from random import Random

from protocol.bounds import MAX_LOOKS_PER_PAGE
from protocol.socketio import MAIN_NAMESPACE
from server.caller import Caller
from server.hub import Hub


class Activity:
    """Sockets by when they were last heard of. A room is looked through only when asked for."""

    def __init__(self, hub: Hub, clock_s: Callable[[], float], chance: Random) -> None:
        self._hub = hub
        self._clock_s = clock_s
        self._chance = chance

    def active(self, room: str, within_s: float, most: int, without: int) -> tuple[int, ...]:
        """Users who were active in a room, but for `without`; `most` of them by chance.

        Of a room of more than MAX_LOOKS_PER_PAGE sockets, so many by chance are looked at: that
        takes a few milliseconds.
        """
        since_s = self._clock_s() - within_s
        sockets = self._hub.sockets_of(MAIN_NAMESPACE, room)
        if len(sockets) > MAX_LOOKS_PER_PAGE:
            sockets = self._chance.sample(sockets, MAX_LOOKS_PER_PAGE)
        found: set[int] = set()
        for socket in sockets:
            caller: Caller = socket.session
            if caller.active_s >= since_s:
                found.add(caller.user_id)
        found.discard(without)
        # In an order of their own, so that chance alone decides who is chosen.
        return tuple(self._chance.sample(sorted(found), min(most, len(found))))
