"""Who has been active in a room: players who sent a command from there not long ago."""

from collections.abc import Callable
from hashlib import blake2b
from heapq import nsmallest
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
        found, _share = self._found(room, within_s, without)
        # In an order of their own, so that chance alone decides who is chosen.
        return tuple(self._chance.sample(sorted(found), min(most, len(found))))

    def lots(
        self, room: str, within_s: float, most: int, without: int, draw: int
    ) -> list[tuple[float, int]]:
        """Up to `most` users who were active, with the lowest lots of a draw, lowest first.

        In one draw a user has the same lot on every node, so that the lowest of all nodes' lots are
        a fair choice among all their users, whom nobody has counted. Where only a share of a crowd
        is looked at, its lots are as much lower: as those who win among all of it would have.
        """
        found, share = self._found(room, within_s, without)
        return nsmallest(most, ((share * _lot(draw, user_id), user_id) for user_id in found))

    def _found(self, room: str, within_s: float, without: int) -> tuple[set[int], float]:
        """Users who were active in a room, and the share of its sockets that was looked at."""
        since_s = self._clock_s() - within_s
        sockets = self._hub.sockets_of(MAIN_NAMESPACE, room)
        share = 1.0
        if len(sockets) > MAX_LOOKS:
            share = MAX_LOOKS / len(sockets)
            sockets = self._chance.sample(sockets, MAX_LOOKS)
        found: set[int] = set()
        for socket in sockets:
            caller: Caller = socket.session
            if caller.active_s >= since_s:
                found.add(caller.user_id)
        found.discard(without)
        return found, share


def _lot(draw: int, user_id: int) -> float:
    """From 0 up to 1, as if by chance."""
    digest = blake2b(b"%d %d" % (draw, user_id), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
