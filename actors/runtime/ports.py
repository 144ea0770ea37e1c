"""What the runtime needs of the world, and what it hands over: storage implements these."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from actors.decision import Announcement, Decision, Message
from actors.kind import Kind
from actors.runtime.actor import Actor
from protocol.errors import Failure


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
