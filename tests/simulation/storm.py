"""The weather of a world, drawn from its seed until it clears up."""

from random import Random

from tests.simulation.plan import Plan
from tests.support.memory import Fate, Fault, Weather

# A stalled batch reaches the server within the patience of a commit, or after it.
STALL_S = 6.0


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

    def read(self) -> float:
        """How long a statement of a reader takes."""
        if self.outage or self.happens(self._plan.read_fails):
            raise OSError("the server does not answer")
        return self.within_s(self._plan.latency_s)

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
