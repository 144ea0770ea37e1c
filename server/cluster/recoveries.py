"""Clients that come back to another node than they were at.

A node that is there is asked: it lets the client go, and gives what was missed. What one has
written down speaks for it when it has ended, or does not answer. Then nobody knows what the
client's rooms were told in between, and they count as interrupted.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Final

import msgspec

from actors.runtime.exchange import Exchange
from actors.runtime.ports import Unreachable
from protocol.commands.node import RoomInterrupted
from protocol.errors import Failure
from server.cluster.archive import Archive
from server.cluster.missed import Entry, Log, Record, missed
from server.sockets.event_log import Former
from server.sockets.recovery import Given, Recovery
from server.sockets.socket import Socket
from storage.streams import Streams

log = logging.getLogger(__name__)

CLAIM: Final = "claim"
CLAIMED: Final = "claimed"
# How long a node may take to give a client, a matter of a millisecond; and how long one that did
# not answer is not asked again, as those behind the first would all wait in vain.
CLAIM_LIMIT_S: Final = 0.5
DEAF_S: Final = 1.0
# Everything together. Longer: the client starts afresh.
FETCH_LIMIT_S: Final = 5.0
# Clients that are being looked for; handshakes are let in at a rate that stays far below it.
MAX_FETCHES: Final = 5_000
# A node that was just killed may have written more than Redis has taken in.
LOOKS: Final = 3
LOOK_PAUSE_S: Final = 0.1
# How much older than the entering of its rooms here an event may be that was told both here and
# there: the time it takes on the bus.
SLACK_S: Final = 1.0

_OFFSET: Final = re.compile("([0-9a-f]{1,32})-([0-9]{1,18})")


class Claim(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A node asks another for a client that has come back to it."""

    id: int
    pid: str
    namespace: str
    owner: str
    offset: str | None


class Claimed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer; None: the client is not there, though it may be written down."""

    id: int
    given: Given | None


_decode_claim = msgspec.msgpack.Decoder(Claim).decode
_decode_claimed = msgspec.msgpack.Decoder(Claimed).decode
_decode_record = msgspec.json.Decoder(Record).decode


class Recoveries:
    """Finds former sockets of clients that come here, and gives those that have gone elsewhere.

    `is_member` says whether a node was seen a moment ago; `tell_states` sends a socket the newest
    states of its rooms.
    """

    def __init__(
        self,
        exchange: Exchange,
        streams: Streams,
        recovery: Recovery,
        is_member: Callable[[str], bool],
        tell_states: Callable[[Socket], None],
    ) -> None:
        self._exchange = exchange
        self._streams = streams
        self._recovery = recovery
        self._is_member = is_member
        self._tell_states = tell_states
        self._loop = asyncio.get_running_loop()
        self._archive = Archive(streams, recovery.bounds.kept_s)
        self._ids = count(1)
        # Claims without an answer: as many as are being looked for.
        self._claims: dict[int, asyncio.Future[Given | None]] = {}
        # Until when members are not asked that did not answer. There are a handful.
        self._deaf: dict[str, float] = {}
        self._fetching = 0
        exchange.listen(CLAIM, self._heard_claim)
        exchange.listen(CLAIMED, self._heard_claimed)

    # A client that comes.

    async def fetch(self, socket: Socket, pid: str, offset: object) -> Former | None:
        """Find a client that says it was here before, and enter its rooms. Never raises."""
        if self._fetching >= MAX_FETCHES:
            return None
        before = set(socket.rooms)
        former = None
        self._fetching += 1
        try:
            async with asyncio.timeout(FETCH_LIMIT_S):
                former = await self._find(socket, pid, offset)
        except (Unreachable, TimeoutError, Failure) as error:
            log.debug("a client was not found: %r", error)
        except Exception:
            log.exception("a client's former node could not be understood")
        finally:
            self._fetching -= 1
        if former is None or former.missed is None:
            _leave(socket, socket.rooms - before)
        return former

    async def _find(self, socket: Socket, pid: str, offset: object) -> Former | None:
        record = await self._record(socket, pid)
        if record is None:
            return None
        entered_s = self._loop.time()
        entered = set(_rooms(record)) - socket.rooms
        for room in entered:
            socket.join(room)
        # What this node told before that is on the bus in two turns, in front of the claim.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        given = await self._claim(record, pid, offset)
        if given is None:
            return await self._read(socket, pid, offset)
        _leave(socket, entered - set(given.rooms))
        return _taken(socket, pid, given, self._loop.time() - entered_s)

    async def _record(self, socket: Socket, pid: str) -> Record | None:
        """What another node has written down of this client, if it is the same one."""
        packed = await self._streams.record(pid)
        record = None if packed is None else _decode_record(packed)
        if record is None or record.member == self._exchange.me:
            return None
        same = (record.namespace, record.owner) == (socket.namespace, str(socket.owner))
        return record if same else None

    # From a node that is there.

    async def _claim(self, record: Record, pid: str, offset: object) -> Given | None:
        """Ask the client's node for it. None if it has not got it, or does not answer."""
        member, now_s = record.member, self._loop.time()
        if not self._is_member(member) or self._deaf.get(member, now_s) > now_s:
            return None
        known = offset if offset is None or isinstance(offset, str) else ""
        claim = Claim(next(self._ids), pid, record.namespace, record.owner, known)
        answer: asyncio.Future[Given | None] = self._loop.create_future()
        self._claims[claim.id] = answer
        try:
            if not self._exchange.say(member, CLAIM, claim):
                return None
            async with asyncio.timeout(CLAIM_LIMIT_S):
                return await answer
        except TimeoutError:
            now_s = self._loop.time()
            self._deaf = {one: until for one, until in self._deaf.items() if until > now_s}
            self._deaf[member] = now_s + DEAF_S
            return None
        finally:
            del self._claims[claim.id]

    def _heard_claimed(self, _sender: str, body: msgspec.Raw) -> None:
        claimed = _decode_claimed(body)
        answer = self._claims.get(claimed.id)
        if answer is not None and not answer.done():
            answer.set_result(claimed.given)

    def _heard_claim(self, sender: str, body: msgspec.Raw) -> None:
        """A client of ours has come to another node: let it go there."""
        claim = _decode_claim(body)
        given = self._recovery.give(claim.pid, claim.namespace, claim.owner, claim.offset)
        # Two turns later what this node has told until now is on the bus, in front of this.
        answer = Claimed(claim.id, given)
        self._loop.call_soon(self._loop.call_soon, self._answer, sender, answer)

    def _answer(self, member: str, answer: Claimed) -> None:
        self._exchange.say(member, CLAIMED, answer)

    # From what is written down.

    async def _read(self, socket: Socket, pid: str, offset: object) -> Former | None:
        former = None
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(LOOK_PAUSE_S)
            record = await self._record(socket, pid)
            if record is None:
                return None
            kept = await self._archive.log(record.epoch)
            known = _known(record, offset)
            if known is None or known <= kept.last:
                return self._picked(record, kept, pid, known)
            # It got something that is not written down, and something else may have been lost.
            former = Former(pid, record.sid, None)
        return former

    def _picked(self, record: Record, kept: Log, pid: str, known: int | None) -> Former:
        events = None if known == _NONSENSE else missed(record, kept, pid, known)
        if events is None or not self._bounded(events):
            return Former(pid, record.sid, None)
        packets = [entry.packets for entry in events]
        return Former(pid, record.sid, packets, 0, _rooms(record))

    def _bounded(self, events: Iterable[Entry]) -> bool:
        """Whether a client may be sent so much in one go."""
        sizes = [len(packet) for entry in events for packet in entry.packets]
        bounds = self._recovery.bounds
        return len(sizes) <= bounds.packets and sum(sizes) <= bounds.bytes

    # Afterwards.

    def welcome(self, socket: Socket, former: Former) -> None:
        """It has been let in and told what it missed: tell it how things are now."""
        for room in former.interrupted:
            socket.emit("room:interrupted", RoomInterrupted(room=room))
        self._tell_states(socket)

    def close(self) -> None:
        """Look for nobody any more."""
        self._archive.close()


# Not a number of any event: what the client takes for an offset is none.
_NONSENSE: Final = -1


def _taken(socket: Socket, pid: str, given: Given, here_s: float) -> Former:
    """What a node has given, whose rooms `socket` has been in for `here_s`, all but the latest."""
    late = [room for room in given.rooms if room not in socket.rooms]
    for room in late:
        socket.join(room)
    if given.missed is None:
        return Former(pid, given.sid, None)
    events = [packets for _, packets in given.missed]
    recent = sum(age_s <= here_s + SLACK_S for age_s, _ in given.missed)
    return Former(pid, given.sid, events, recent, late)


def _known(record: Record, offset: object) -> int | None:
    """The number of the newest event that a client has from this node; None: it has none yet."""
    if offset is None:
        return None
    found = _OFFSET.fullmatch(offset) if isinstance(offset, str) else None
    if found is None:
        return _NONSENSE
    epoch, digits = found.groups()
    return int(digits) if epoch == record.epoch else None


def _rooms(record: Record) -> Sequence[str]:
    """The rooms that a client is in."""
    return [stay.room for stay in record.stays if stay.until is None]


def _leave(socket: Socket, rooms: Iterable[str]) -> None:
    for room in tuple(rooms):
        socket.leave(room)
