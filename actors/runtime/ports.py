"""What the runtime needs of the world, and what it hands over: storage implements these."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from actors.decision import Announcement, Decision, Message
from actors.kind import Kind
from actors.runtime.actor import Actor
from actors.runtime.answer import reject
from actors.runtime.membership import Member
from protocol.errors import STORAGE_UNAVAILABLE, Failure


class Reply(Protocol):
    """Where an answer goes. Exactly one of the two is called, once."""

    @property
    def origin(self) -> object | None:
        """The socket that asked, which the answer itself brings up to date."""

    def resolve(self, value: Any) -> None:
        """The command was done, and what it changed is committed."""

    def reject(self, failure: Failure) -> None:
        """The command was refused, or its outcome is unknown (`storage_unavailable`)."""


class Write:
    """A decision, or a refusal, that waits for its actor's newest uncommitted fact."""

    __slots__ = ("actor", "command", "outcome", "reply", "retried", "snapshot")

    def __init__(
        self,
        actor: Actor,
        command: Any,
        reply: Reply,
        outcome: Decision | Failure,
        retried: bool,
    ) -> None:
        self.actor = actor
        self.command = command
        self.reply = reply
        self.outcome = outcome
        self.retried = retried
        self.snapshot: tuple[int, bytes] | None = None


class Lane(Protocol):
    """One ordered way into the journal. All facts of an actor go through the same lane."""

    @property
    def open(self) -> bool:
        """Whether the lane's shards are ours and can be written."""

    @property
    def full(self) -> bool:
        """Whether its queue has reached its bound: new commands are refused as `overloaded`."""

    def append(self, write: Write) -> None:
        """Queue `write` for the next commit."""


class Placement(Protocol):
    """Which shard an actor belongs to, and which lane writes it."""

    def shard_of(self, kind: str, key: int) -> int:
        """The shard that the actor hashes into."""

    def lane_of(self, shard: int) -> Lane:
        """The lane of a shard."""

    def owns(self, shard: int) -> bool:
        """Whether the shard is ours and can be written."""


class Elsewhere(Protocol):
    """The way to actors whose shard is not ours."""

    @property
    def waiting(self) -> Collection[int]:
        """Shards with commands under way, or waiting for a way. Later ones have to go behind."""

    def send(self, shard: int, kind: str, key: int, command: Any, reply: Reply) -> None:
        """Take a command to its actor's owner. Never raises: a refusal goes to `reply` too."""


class Shards(Protocol):
    """The shards of this process as its keeper moves them."""

    @property
    def owned(self) -> Collection[int]:
        """Those that are ours now."""

    @property
    def able(self) -> bool:
        """Whether every lane has its connection, so that any shard could be ours."""

    def give_up(self, shards: Collection[int]) -> None:
        """They are ours no more from here on, though their locks are still held."""

    async def release(self, shards: Collection[int]) -> None:
        """Free the locks of shards that were given up, once what is queued for them is committed.

        Raises Unreachable where a lane loses its connection meanwhile, which frees them too.
        """

    async def claim(self, shards: Collection[int]) -> set[int]:
        """Try to lock these, between batches; those won are ours. None: each lane is only asked.

        Raises Unreachable where a lane has no connection, or loses it.
        """


class Holder(NamedTuple):
    """Who holds a shard's lock: a member's connection, as PostgreSQL knows it."""

    member: str
    pid: int
    started: Any


class Locks(Protocol):
    """The locks of shards, seen from outside. Everything raises Unreachable."""

    async def holders(self, shards: Collection[int]) -> dict[int, Holder]:
        """Who holds the locks of these shards; free ones are absent."""

    async def end(self, holder: Holder) -> None:
        """End a holder's connection, unless it has ended already."""


class Registry(Protocol):
    """Where members announce themselves, for as long as they go on doing it."""

    async def announce(self, mine: Member) -> Sequence[Member]:
        """Announce oneself, and see everybody who does. Raises Unreachable."""

    async def withdraw(self, member: str) -> None:
        """Be gone at once. Raises Unreachable."""


class BusListener(Protocol):
    """Who hears what is said on the bus. Nothing here may raise."""

    def heard(self, frame: bytes) -> None:
        """Somebody said it to this member, or to all."""

    def heard_room(self, room: str, frame: bytes) -> None:
        """Somebody said it to a room that this member has subscribed to."""

    def joined(self) -> None:
        """Connected, all subscriptions in force. What was said before is missed."""

    def parted(self) -> None:
        """The connection is lost."""


class Bus(Protocol):
    """Frames between members, at most once, never stored: in order from one to one destination."""

    @property
    def connected(self) -> bool:
        """Whether frames can be sent and heard."""

    def bind(self, listener: BusListener) -> None:
        """Say who hears."""

    def post(self, member: str, frame: bytes) -> bool:
        """Say it to one member. False: it was certainly not sent, and will not be."""

    def post_all(self, frame: bytes) -> bool:
        """Say it to all other members."""

    def publish(self, room: str, frame: bytes) -> bool:
        """Say it to all other members that have subscribed to a room."""

    def subscribe(self, room: str) -> None:
        """Hear a room, in force before anything that is sent later. Kept over lost connections."""

    def unsubscribe(self, room: str) -> None:
        """Hear a room no more."""


class Unreachable(Exception):  # noqa: N818 - named for what it is
    """PostgreSQL or Redis cannot be reached now, or not in time."""


class Nowhere:
    """The way elsewhere of a process that is alone: there is none."""

    waiting: Final = frozenset[int]()

    def send(self, shard: int, kind: str, key: int, command: Any, reply: Reply) -> None:
        """Refuse the command for now: the shard's lane has to be won first."""
        del shard, kind, key, command
        reject(reply, Failure(STORAGE_UNAVAILABLE))


class Stored(NamedTuple):
    """What storage has of an actor: a snapshot and the facts that follow it, in order.

    The facts may be made as they are looked at, which is done once, some at a time.
    """

    snapshot: bytes | None
    snapshot_version: int
    facts: Iterable[Any]


# No kind makes a state of an empty snapshot, so that nobody can take it for a new actor.
NOT_YET: Final = Stored(b"", 0, ())
"""In place of an actor that takes longer to read than callers wait: it can be read later on."""


class Store(Protocol):
    """Reads of committed rows, and the write-behind that may be lost."""

    async def hydrate(self, kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        """All actors of `keys` in one go, some perhaps NOT_YET; one without rows is absent."""

    async def find(self, kind: Kind, key: int, request_id: UUID) -> Any | None:
        """The committed fact with this request id."""

    def put_snapshot(self, kind: Kind, key: int, version: int, snapshot: bytes) -> None:
        """Remember a committed state some time soon. It may be dropped."""


class Outbox(Protocol):
    """Messages that were committed and not yet taken by their actor."""

    async def overdue(self, limit: int) -> Sequence[Message]:
        """The next messages of our shards that have waited for some time, in turns over all."""

    def forget(self, message_id: UUID) -> None:
        """The receiver has committed it: remove it some time soon."""


class Publisher(Protocol):
    """Who tells the rooms."""

    def publish(self, push: Announcement, origin: object | None) -> None:
        """Tell a room. A state is not sent to the socket whose answer carries it already."""


class Witness(Protocol):
    """Who looks at what is committed, once it is answered. It keeps no write."""

    def committed(self, writes: Sequence[Write]) -> None:
        """These are durable."""
