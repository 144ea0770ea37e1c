"""What outlives this process: what it tells, written down elsewhere, and clients that come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from protocol.outgoing import Outgoing

if TYPE_CHECKING:
    from server.rooms.room import Room
    from server.sockets.socket import Socket


class EventLog(Protocol):
    """Where this process writes down what it tells those who may come back to another one.

    Numbers grow from call to call. Nothing raises, but what tells an event that has no encoding.
    """

    def told(self, room: Room, event: Outgoing, skip: Socket | None) -> None:
        """A room is about to be told an event, and somebody inside may come back."""

    def told_one(self, socket: Socket, event: Outgoing) -> None:
        """A client that may come back is about to be told an event."""

    def flush(self) -> None:
        """Write all that was told: next, it is sent to clients."""

    def admitted(self, socket: Socket, *, taken: bool = False, torn: bool = False) -> None:
        """A client is let in that may come back: its events from here on will be known.

        `taken` over from another process, whose record of it is replaced. `torn`: what it has
        missed is not known as long as it has got nothing from here.
        """

    def handed(self, former: Socket, heir: Socket) -> None:
        """A client has come back here as another socket, which is about to have its rooms."""

    def renewed(self, socket: Socket) -> None:
        """A client is still there."""

    def forgotten(self, pid: str) -> None:
        """A client will not come back."""

    def let_go(self, pid: str) -> None:
        """A client goes on elsewhere, or may: what is known of it is left there."""

    def entered(self, socket: Socket, room: str) -> None:
        """A socket has entered a room."""

    def left(self, socket: Socket, room: str) -> None:
        """A socket has left a room."""


class Former(NamedTuple):
    """What another process had of a client that comes back here."""

    pid: str
    sid: str
    missed: Sequence[Sequence[bytes]] | None
    """The events, each as it is kept; None if they are not known."""
    recent: int = 0
    """How many of the last of them may have been told here too, after it entered its rooms."""
    interrupted: Sequence[str] = ()
    """Rooms that may have been told things in between which are not among them."""


class Formers(Protocol):
    """The way to what other processes have of clients."""

    async def fetch(self, socket: Socket, pid: str, offset: object) -> Former | None:
        """Find a client that says it was here before, and enter its rooms. Never raises.

        None if it is nowhere. Nobody else has it any more, unless the caller is cancelled.
        """

    def welcome(self, socket: Socket, former: Former) -> None:
        """It has been let in and told what it missed: tell it how things are now."""
