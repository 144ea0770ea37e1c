"""What a node keeps in Redis of what it tells, so that its clients can come back to another one.

A node writes one stream, named by its epoch, of what it tells in the order of its own numbers, and
a record of each client that may come back. All of it may be lost, and all of it expires.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from actors.runtime.ports import Unreachable
from storage.resp import Reconnector, RespConnection, address_of, command

log = logging.getLogger(__name__)

# Bytes that were written and that Redis has not answered for. Past it the connection is given up,
# and the log begins anew: a second of what a busy node tells, and no burden on its memory.
MAX_UNSENT: Final = 8 * 1024 * 1024
# What a command counts as on top of its bytes, for what remembers that it has no answer yet.
_COMMAND_BYTES: Final = 64
# How long a question may take, before the client that waits for it starts afresh.
ANSWER_LIMIT_S: Final = 1.0
# How often the stream is kept from expiring, and for how many times Redis may be silent then.
_BEAT_S: Final = 1.0
_PATIENCE: Final = 3
# A connection that has lasted so long is no reason to wait with the next.
_STEADY_S: Final = 5.0

# A record is written by the node that the client was let in by last: its epoch is in front. A node
# that was out of sight for a while must not take back what another has taken over.
_REMEMBER: Final = b"""local had = redis.call('GET', KEYS[1])
if had and string.sub(had, 1, string.len(ARGV[1])) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1"""
_FORGET: Final = b"""local had = redis.call('GET', KEYS[1])
if not had or string.sub(had, 1, string.len(ARGV[1])) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])"""


class Numbered(NamedTuple):
    """An entry of a stream, and its number."""

    number: int
    entry: bytes


class Streams(Protocol):
    """One node's stream and records, and those of others to read.

    What is written in one turn of the loop leaves with `flush`, in order, or not at all. What is
    written while there is no connection is dropped: whoever is told `joined` begins anew.
    """

    @property
    def connected(self) -> bool:
        """Whether anything can be written or read."""

    def bind(self, joined: Callable[[], None], parted: Callable[[], None]) -> None:
        """Say who is told that there is a connection, and that it is lost. Neither may raise."""

    def begin(self, number: int, entry: bytes) -> None:
        """Forget the node's stream, and begin it with this entry."""

    def add(self, number: int, entry: bytes, newest: int) -> None:
        """Write an entry with a greater number; at least the `newest` ones are kept."""

    def remember(self, pid: str, record: bytes, *, taken: bool = False) -> None:
        """Keep a client's record, unless another node's is there; `taken` over, in its place."""

    def forget(self, pid: str) -> None:
        """Remove a client's record, unless it is another node's by now."""

    def flush(self) -> None:
        """Hand what was written to the network now."""

    async def record(self, pid: str) -> bytes | None:
        """A client's record, whichever node's it is. Raises Unreachable."""

    async def entries(self, epoch: str, after: int, limit: int) -> list[Numbered]:
        """The first entries of a stream whose numbers are greater. Raises Unreachable."""


class RedisStreams:
    """Streams of a Redis 6 or newer, over one connection of our own.

    What is flushed is with the system before anything that is written to clients after it: a
    process that is killed has told them nothing that is not in its stream, unless Redis lags.
    """

    def __init__(self, url: str, cluster: str, epoch: str, kept_ms: int) -> None:
        self._reconnector = Reconnector(
            address_of(url), "pitboss-recovery", service="recovery log", log=log, steady_s=_STEADY_S
        )
        self._log_prefix = f"{cluster}:log:".encode()
        self._pid_prefix = f"{cluster}:pid:".encode()
        self._mine = self._log_prefix + epoch.encode()
        self._owner = epoch.encode() + b" "
        self._kept_ms = b"%d" % kept_ms
        self._on_joined: Callable[[], None] = _nobody
        self._on_parted: Callable[[], None] = _nobody
        self._connection: RespConnection | None = None
        self._said: list[bytes] = []
        # For each command without an answer its size, or who waits for the answer.
        self._unanswered: deque[int | asyncio.Future[Any]] = deque()
        self._unsent = 0

    @property
    def connected(self) -> bool:
        """Whether anything can be written or read."""
        return self._connection is not None

    def bind(self, joined: Callable[[], None], parted: Callable[[], None]) -> None:
        """Say who is told that there is a connection, and that it is lost."""
        self._on_joined, self._on_parted = joined, parted

    # Writing.

    def begin(self, number: int, entry: bytes) -> None:
        """Forget the node's stream, and begin it with this entry."""
        self._say(b"DEL", self._mine)
        self._say(b"XADD", self._mine, b"%d-1" % number, b"e", entry)
        self._say(b"PEXPIRE", self._mine, self._kept_ms)

    def add(self, number: int, entry: bytes, newest: int) -> None:
        """Write an entry with a greater number; at least the `newest` ones are kept."""
        kept = b"%d" % newest
        self._say(b"XADD", self._mine, b"MAXLEN", b"~", kept, b"%d-1" % number, b"e", entry)

    def remember(self, pid: str, record: bytes, *, taken: bool = False) -> None:
        """Keep a client's record, unless another node's is there; `taken` over, in its place."""
        key, owned = self._pid_prefix + pid.encode(), self._owner + record
        if taken:
            self._say(b"SET", key, owned, b"PX", self._kept_ms)
        else:
            self._say(b"EVAL", _REMEMBER, b"1", key, self._owner, owned, self._kept_ms)

    def forget(self, pid: str) -> None:
        """Remove a client's record, unless it is another node's by now."""
        self._say(b"EVAL", _FORGET, b"1", self._pid_prefix + pid.encode(), self._owner)

    def _say(self, *words: bytes) -> None:
        if self._connection is None:
            return
        said = command(*words)
        size = len(said) + _COMMAND_BYTES
        self._said.append(said)
        self._unanswered.append(size)
        self._unsent += size
        if self._unsent > MAX_UNSENT:
            self._give_up("it takes too little of what is written")

    def flush(self) -> None:
        """Hand what was written to the network now."""
        if self._said and self._connection is not None:
            said, self._said = self._said, []
            self._connection.write(b"".join(said))

    # Reading.

    async def record(self, pid: str) -> bytes | None:
        """A client's record, whichever node's it is. Raises Unreachable."""
        found = await self._ask(b"GET", self._pid_prefix + pid.encode())
        return None if found is None else found.partition(b" ")[2]

    async def entries(self, epoch: str, after: int, limit: int) -> list[Numbered]:
        """The first entries of a stream whose numbers are greater. Raises Unreachable."""
        key = self._log_prefix + epoch.encode()
        first, most = b"%d-0" % (after + 1), b"%d" % limit
        found = await self._ask(b"XRANGE", key, first, b"+", b"COUNT", most)
        return [Numbered(int(one.partition(b"-")[0]), fields[1]) for one, fields in found]

    async def _ask(self, *words: bytes) -> Any:
        if self._connection is None:
            raise Unreachable
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._said.append(command(*words))
        self._unanswered.append(answer)
        self.flush()
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await answer
        except TimeoutError as late:
            raise Unreachable from late

    # The connection.

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, until cancelled."""
        await self._reconnector.run(self, self._hold)

    async def _hold(self, connection: RespConnection) -> str:
        """Write and read over a connection until it is lost. The reason."""
        self._connection = connection
        try:
            self._on_joined()
            self._reconnector.succeeded()
            return await self._watch(connection)
        finally:
            self._part()

    async def _watch(self, connection: RespConnection) -> str:
        """Keep the stream from expiring until the connection is lost. The reason."""
        silent = 0
        while not connection.lost.done():
            self._say(b"PEXPIRE", self._mine, self._kept_ms)
            self.flush()
            await asyncio.wait((connection.lost,), timeout=_BEAT_S)
            silent = 0 if connection.heard else silent + 1
            connection.heard = False
            if silent >= _PATIENCE:
                return f"no answer for {_PATIENCE * _BEAT_S:.0f} s"
        return connection.lost.result()

    def _give_up(self, reason: str) -> None:
        connection = self._connection
        if connection is not None:
            self._part()
            connection.abort(reason)

    def _part(self) -> None:
        if self._connection is None:
            return
        self._connection = None
        self._said.clear()
        self._unsent = 0
        waiting, self._unanswered = self._unanswered, deque()
        for one in waiting:
            if isinstance(one, asyncio.Future) and not one.done():
                one.set_exception(Unreachable())
        self._on_parted()

    def close(self) -> None:
        """Have all that was written go out, and write no more."""
        self.flush()
        connection = self._connection
        self._part()
        if connection is not None:
            connection.close()

    # What the connection hands on.

    def answered(self, answer: Any) -> None:
        """Redis has done what was asked for, or refuses to."""
        if self._connection is None:
            return
        asked = self._unanswered.popleft()
        refused = isinstance(answer, Exception)
        if isinstance(asked, int):
            self._unsent -= asked
            if refused:
                # What is in the stream is not known any more: it begins anew.
                self._give_up(f"it refuses: {answer}")
        elif not asked.done():
            if refused:
                asked.set_exception(Unreachable(str(answer)))
            else:
                asked.set_result(answer)

    def pushed(self, push: list[Any]) -> None:
        """Nothing is subscribed to here."""

    def writable(self) -> None:
        """What was written has gone out; nobody waits for that."""


def _nobody() -> None:
    """Nobody has asked to be told."""
