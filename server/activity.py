"""Who has been active in a room: players who sent a command from there not long ago."""

from collections.abc import Callable
from random import Random
from typing import Final

from protocol.socketio import MAIN_NAMESPACE
from server.caller import Caller
from server.hub import Hub

# Sockets of a room that are looked at: ten for each player that anything chooses among, so that the
# choice is of those who are there, in half a millisecond however large the room is.
MAX_LOOKS: Final = 500


class Activity:
    """Sockets by when they were last heard of. A room is looked through only when asked for."""

    def __init__(self, hub: Hub, clock_s: Callable[[], float], chance: Random) -> None:
        self._hub = hub
        self._clock_s = clock_s
        self._chance = chance

    def active(self, room: str, within_s: float, most: int, without: int) -> tuple[int, ...]:
        """Users who were active in a room, but for `without`; `most` of them by chance.

        Of a room of more than MAX_LOOKS sockets, so many by chance are looked at.
        """
        since_s = self._clock_s() - within_s
        sockets = self._hub.sockets_of(MAIN_NAMESPACE, room)
        if len(sockets) > MAX_LOOKS:
            sockets = self._chance.sample(sockets, MAX_LOOKS)
        found: set[int] = set()
        for socket in sockets:
            caller: Caller = socket.session
            if caller.active_s >= since_s:
                found.add(caller.user_id)
        found.discard(without)
        # In an order of their own, so that chance alone decides who is chosen.
        return tuple(self._chance.sample(sorted(found), min(most, len(found))))
