"""The weather of a world, drawn from its seed until it clears up."""

from collections.abc import Sequence
from random import Random

from tests.simulation.plan import Plan
from tests.support.memory import Fate, Fault, Weather

# A stalled batch reaches the server within the patience of a commit, or after it.
STALL_S = 6.0
# What is sent into a cut line arrives when the world is long over.
NEVER_S = 1e9
# How long the server keeps a connection whose other end was cut off, and that end its own.
LINGERS_S = 10.0
# What may go wrong when a connection takes or frees locks.
LOCK_FAULTS = (Fault.TRANSIENT, Fault.UNSENT, Fault.UNANSWERED, Fault.STALLED)


class Storm(Weather):
    """Loses, delays and repeats what travels, as often as the plan says. `over` ends all that."""

    def __init__(self, plan: Plan, rng: Random) -> None:
        self._plan = plan
        self._rng = rng
        self.over = False
        self.outage = False
        """Whether the server is down: connecting and reading fail."""

    def happens(self, chance: float) -> bool:
        """Whether something of that chance happens now."""
        return not self.over and chance > 0 and self._rng.random() < chance

    def within_s(self, most_s: float) -> float:
        """A delay, mostly short."""
        return most_s * self._rng.random() ** 3

    def write(self) -> Fate:
        """The fate of a write."""
        fault = Fault.NONE
        if self.happens(self._plan.transient):
            fault = Fault.TRANSIENT
        elif self.happens(self._plan.unsent):
            fault = Fault.UNSENT
        elif self.happens(self._plan.unanswered):
            fault = Fault.UNANSWERED
        elif self.happens(self._plan.stalled):
            fault = Fault.STALLED
        most_s = self._plan.latency_s
        if fault is Fault.UNANSWERED:
            most_s = self._plan.linger_s
        elif fault is Fault.STALLED:
            most_s = STALL_S
        return Fate(fault, self.within_s(most_s), self.within_s(self._plan.latency_s))

    def one_of(self, faults: Sequence[Fault]) -> Fault:
        """Some fault."""
        return self._rng.choice(faults)

    def way_s(self) -> float:
        """How long one way to the server takes."""
        return self.within_s(self._plan.latency_s)

    def read(self) -> float:
        """How long a statement of a reader takes."""
        if self.outage or self.happens(self._plan.read_fails):
            raise OSError("the server does not answer")
        return self.way_s()

    def connect(self) -> float:
        """How long connecting takes."""
        return self.read()

    def linger_s(self) -> float:
        """How long a backend outlives its client."""
        return self.within_s(self._plan.linger_s)

    def notice_s(self) -> float:
        """How long a client does not know that its backend has ended."""
        return self.within_s(self._plan.notice_s)

    def drops_snapshot(self) -> bool:
        """Whether a snapshot is lost."""
        return self.happens(self._plan.snapshot_lost)


class Line(Weather):
    """One process's way to the database: in the world's weather, and now and then cut by itself."""

    def __init__(self, storm: Storm, lock_fails: float) -> None:
        self._storm = storm
        self._lock_fails = lock_fails
        self.cut = False
        """Whether nothing gets through: what is sent is never answered, nobody can connect."""

    def write(self) -> Fate:
        return Fate(request_s=NEVER_S) if self.cut else self._storm.write()

    def lock(self) -> Fate:
        if self.cut:
            return Fate(request_s=NEVER_S)
        fault = self._storm.one_of(LOCK_FAULTS) if self._storm.happens(self._lock_fails) else None
        return Fate(fault or Fault.NONE, self._storm.way_s(), self._storm.way_s())

    def read(self) -> float:
        if self.cut:
            raise OSError("nothing gets through to the server")
        return self._storm.read()

    def connect(self) -> float:
        return self.read()

    def linger_s(self) -> float:
        return self._storm.within_s(LINGERS_S) if self.cut else self._storm.linger_s()

    def notice_s(self) -> float:
        return self._storm.within_s(LINGERS_S) if self.cut else self._storm.notice_s()

    def drops_snapshot(self) -> bool:
        return self._storm.drops_snapshot()
