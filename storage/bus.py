"""The bus between members: Redis' channels, over one connection for posting and for hearing."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from actors.runtime.ports import BusListener
from actors.runtime.reminder import Reminder
from storage.resp import Reconnector, RespConnection, address_of, command

log = logging.getLogger(__name__)

# Bytes that were said and that Redis has not answered for; more is refused, and its caller told.
# It is a second of a 100 Mbit network. Redis itself drops a member that is 32 MB behind with
# hearing, so that half of that must not pile up at one that speaks.
MAX_UNSENT: Final = 16 * 1024 * 1024
# What a frame is counted as on top of its bytes, so that a crowd of empty ones has a bound too.
_FRAME_BYTES: Final = 64
# Rooms in one SUBSCRIBE: it keeps Redis busy for a millisecond at most.
_ROOMS_AT_ONCE: Final = 1_000

# How often the connection is looked after, and for how many beats it may be silent: one until it
# is asked for a sign of life, and 2 s to give it. Beats are counted, not seconds, as a process that
# stood still for seconds has not asked.
_BEAT_S: Final = 0.5
_PATIENCE: Final = 5
# A connection that has lasted so long is no reason to wait with the next.
_STEADY_S: Final = 1.0

# A sign of life. PING would do, but a Redis that cannot write to its disk refuses just that.
_SIGN: Final = command(b"ECHO", b"sign")
# Once it comes back, all subscriptions before it are in force.
_JOINED: Final = b"joined"


@dataclass(slots=True)
class Traffic:
    """What has passed since the process started; bytes are those of the frames alone."""

    frames_out: int = 0
    bytes_out: int = 0
    frames_in: int = 0
    bytes_in: int = 0
    refused: int = 0
    """Frames that were not sent, as there was no connection or too much waited."""
    joined: int = 0
    """How often the bus was joined: one more than it was lost, unless it is lost now."""


class _Batch:
    """The frames of one tick for one channel."""

    __slots__ = ("cost", "frames", "pieces", "size")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.size = 0
        self.cost = 0

    def add(self, frame: bytes) -> None:
        size = len(frame)
        self.pieces += (size.to_bytes(4), frame)
        self.size += 4 + size
        self.cost += _FRAME_BYTES + size


class RedisBus:
    """Frames between the members of a cluster, over the channels of a Redis 6 or newer.

    What is said to one destination (a member, all, a room) arrives in the order in which it was
    said; what is said to two of them may overtake each other. All that is said in one turn of the
    loop goes out in one write, to each destination in one message. Rooms are as many as this
    member's players are in, which has bounds of its own.

    `url` is as redis-py reads it; raises ValueError for what is none. Channels know no databases,
    so their names begin with the cluster's.
    """

    def __init__(
        self, url: str, cluster: str, member: str, *, max_unsent: int = MAX_UNSENT
    ) -> None:
        self.traffic = Traffic()
        self._address = address_of(url)
        self._reconnector = Reconnector(
            self._address, f"{cluster}-bus-{member}", service="bus", log=log, steady_s=_STEADY_S
        )
        self._max_unsent = max_unsent
        self._prefix = f"{cluster}:"
        self._to_me = f"{cluster}:to:{member}".encode()
        self._to_all = f"{cluster}:all".encode()
        self._room_prefix = f"{cluster}:room:".encode()
        # Every message begins with its sender, by which one's own are known.
        me = member.encode()
        self._mine = bytes((len(me),)) + me
        self._listener: BusListener | None = None
        self._rooms: set[str] = set()
        self._connection: RespConnection | None = None
        self._joined = False
        # Subscriptions to make (True) and to end, and what is to be said, at the end of this turn.
        self._changes: dict[str, bool] = {}
        self._batches: dict[str, _Batch] = {}
        self._flush_due = False
        # What every PUBLISH without an answer was counted as, and all that waits or was said.
        self._unanswered: deque[int] = deque()
        self._unsent = 0
        # Messages that no member can have made.
        self._strange = 0
        self._strange_reminder = Reminder()

    @property
    def connected(self) -> bool:
        """Whether frames can be sent and heard."""
        return self._joined

    @property
    def unsent_bytes(self) -> int:
        """What Redis has not answered for, or not got yet; at most MAX_UNSENT."""
        return self._unsent

    def bind(self, listener: BusListener) -> None:
        """Say who hears. Once, before `run`."""
        self._listener = listener

    def post(self, member: str, frame: bytes) -> bool:
        """Say it to one member. False: it was certainly not sent, and will not be."""
        return self._say(f"to:{member}", frame)

    def post_all(self, frame: bytes) -> bool:
        """Say it to all other members."""
        return self._say("all", frame)

    def publish(self, room: str, frame: bytes) -> bool:
        """Say it to all other members that have subscribed to a room."""
        return self._say(f"room:{room}", frame)

    def subscribe(self, room: str) -> None:
        """Hear a room, in force before anything that is sent later. Kept over lost connections."""
        if room not in self._rooms:
            self._rooms.add(room)
            self._change(room, wanted=True)

    def unsubscribe(self, room: str) -> None:
        """Hear a room no more."""
        if room in self._rooms:
            self._rooms.discard(room)
            self._change(room, wanted=False)

    async def run(self) -> None:
        """Be on the bus, again after every loss, until `close` or until cancelled."""
        assert self._listener is not None, "nobody hears"
        await self._reconnector.run(self, self._hold)

    def close(self) -> None:
        """Leave: what was said goes out, then `run` ends."""
        self._flush()
        self._reconnector.close()
        if self._connection is not None:
            self._connection.close()

    # What is said.

    def _say(self, destination: str, frame: bytes) -> bool:
        cost = _FRAME_BYTES + len(frame)
        too_much = self._unsent + cost > self._max_unsent
        if not self._joined or self._reconnector.closing or too_much:
            self.traffic.refused += 1
            return False
        self._unsent += cost
        batch = self._batches.get(destination)
        if batch is None:
            batch = self._batches[destination] = _Batch()
            self._flush_soon()
        batch.add(frame)
        self.traffic.frames_out += 1
        self.traffic.bytes_out += len(frame)
        return True

    def _change(self, room: str, *, wanted: bool) -> None:
        if self._connection is not None:  # the next one begins with all rooms
            self._changes[room] = wanted
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Send all that waits in one write; subscriptions first. Not while the network is slow."""
        self._flush_due = False
        connection = self._connection
        if connection is None or not self._joined or connection.paused:
            return  # both have it flushed when they end
        said = self._subscriptions()
        for destination, batch in self._batches.items():
            channel = (self._prefix + destination).encode()
            size = len(self._mine) + batch.size
            said.append(
                b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b"
                % (len(channel), channel, size, self._mine)
            )
            said += batch.pieces
            said.append(b"\r\n")
            self._unanswered.append(batch.cost)
        self._batches = {}
        if said:
            connection.write(b"".join(said))

    def _subscriptions(self) -> list[bytes]:
        if not self._changes:
            return []
        changes, self._changes = self._changes, {}
        begun = [self._channel(room) for room, wanted in changes.items() if wanted]
        ended = [self._channel(room) for room, wanted in changes.items() if not wanted]
        return [*_in_chunks(b"SUBSCRIBE", begun), *_in_chunks(b"UNSUBSCRIBE", ended)]

    def _channel(self, room: str) -> bytes:
        return self._room_prefix + room.encode()

    # The life of a connection.

    async def _hold(self, connection: RespConnection) -> str:
        """Be on the bus over a connection until it is lost. The reason."""
        self._connection = connection
        try:
            self._changes.clear()
            own = [self._to_me, self._to_all, *(self._channel(room) for room in self._rooms)]
            connection.write(b"".join([*_in_chunks(b"SUBSCRIBE", own), command(b"ECHO", _JOINED)]))
            return await _watch(connection)
        finally:
            self._part()

    def _join(self) -> None:
        self._joined = True
        self.traffic.joined += 1
        log.info("on the bus at %s", self._address)
        self._reconnector.succeeded()
        self._flush()  # rooms of the last moment
        self._notify("joined")

    def _part(self) -> None:
        was_joined, self._joined = self._joined, False
        self._connection = None
        self._batches.clear()
        self._changes.clear()
        self._unanswered.clear()
        self._unsent = 0
        if was_joined:
            self._notify("parted")

    def _notify(self, name: str) -> None:
        try:
            getattr(self._listener, name)()
        except Exception:
            log.exception("the state of the bus could not be taken in")

    # What the connection hands on.

    def answered(self, answer: Any) -> None:
        """Redis has done something we asked for."""
        if type(answer) is int:
            self._unsent -= self._unanswered.popleft()
        elif answer == _JOINED:
            self._join()
        elif isinstance(answer, Exception) and self._connection is not None:
            # What is in force, and which message was not sent, is not known any more.
            self._connection.abort(f"it refuses: {answer}")

    def writable(self) -> None:
        """What was written has gone out."""
        self._flush()

    def pushed(self, push: list[Any]) -> None:
        """Somebody has said something, or a subscription is in force."""
        if push[0] != b"message":
            return
        _, channel, message = push
        if channel == self._to_me:
            self._hear(None, message)
        elif message.startswith(self._mine):
            return
        elif channel == self._to_all:
            self._hear(None, message)
        else:
            self._hear(channel[len(self._room_prefix) :].decode(), message)

    def _hear(self, room: str | None, message: bytes) -> None:
        listener = self._listener
        assert listener is not None
        for frame in self._unpacked(message):
            try:
                if room is None:
                    listener.heard(frame)
                elif room in self._rooms:  # it may have been left a moment ago
                    listener.heard_room(room, frame)
            except Exception:
                log.exception("a frame of the bus could not be taken")

    def _unpacked(self, message: bytes) -> list[bytes]:
        """The frames of a message; none if a stranger has made it."""
        frames = []
        end = len(message)
        first = at = 1 + message[0] if message else 1
        while at < end:
            begin = at + 4
            at = begin + int.from_bytes(message[at:begin])
            frames.append(message[begin:at])
        if at != end:
            self._strange += 1
            if self._strange_reminder.due():
                log.warning(
                    "messages on the bus are not a member's: %d so far, the last of %d bytes",
                    self._strange,
                    end,
                )
            return []
        self.traffic.frames_in += len(frames)
        self.traffic.bytes_in += end - first - 4 * len(frames)
        return frames


async def _watch(connection: RespConnection) -> str:
    """Ask a silent connection for a sign of life until it is lost. The reason."""
    silent = 0
    while not connection.lost.done():
        await asyncio.wait((connection.lost,), timeout=_BEAT_S)
        if connection.heard:
            connection.heard = False
            silent = 0
            continue
        silent += 1
        if silent == 1:
            connection.write(_SIGN)
        elif silent >= _PATIENCE:
            return f"no sign of life for {(_PATIENCE - 1) * _BEAT_S:.0f} s"
    return connection.lost.result()


def _in_chunks(verb: bytes, channels: list[bytes]) -> list[bytes]:
    return [
        command(verb, *channels[at : at + _ROOMS_AT_ONCE])
        for at in range(0, len(channels), _ROOMS_AT_ONCE)
    ]
