"""A kind of actor: how its state begins, which commands it takes, how facts change it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from actors.decision import Context, Decision


class Rule(NamedTuple):
    """How one command is decided, and how it is answered again when its request id returns.

    `replay(command, fact)` rebuilds the first reply from the committed fact, or raises the Failure
    `request_mismatch` if the fact came of other content. None: the command carries no request id.
    """

    decide: Callable[[Any, Any, Context], Decision]
    replay: Callable[[Any, Any], Any] | None = None


class Kind(NamedTuple):
    """A kind of actor, as data: the runtime knows nothing else of a domain."""

    name: str
    rules: Mapping[type, Rule]
    apply: Callable[[Any, Any], None]
    """Changes a state by a fact. Live commands, hydration and tests all use it."""
    restore: Callable[[int, bytes | None], Any]
    """A state from a snapshot; None: from nothing."""
    snapshot: Callable[[Any], bytes]
    """The state as bytes for `restore`."""
    version: Callable[[Any], int]
    """How many facts made this state: the number of the newest."""
    alarm: Callable[[Any], int | None] = lambda _state: None
    """When a hydrated actor wants to be called, in milliseconds; None for never."""
    read_back: Callable[[Any], None] = lambda _state: None
    """Told of a state when all its facts were applied that storage has."""
    busy: Callable[[Any], bool] | None = None
    """Whether this is a bad moment to move the actor to another node; None: none is."""

    @property
    def repeats(self) -> bool:
        """Whether its commands carry request ids, so that what they write may be there already."""
        return any(rule.replay is not None for rule in self.rules.values())
