"""The search: cases from the grammar and from a corpus that grows with every new jump reached."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from protocol import disconnects
from tests.fuzz import grammar
from tests.fuzz.case import Case, Finding, Target, shrink, write_case
from tests.fuzz.connections import ConnectionTarget, visit
from tests.fuzz.coverage import Coverage
from tests.fuzz.differences import ComparedPacketTarget, ComparedPayloadTarget
from tests.fuzz.growth import check_growth
from tests.fuzz.machines import EngineSessionTarget, NamespaceSessionTarget
from tests.fuzz.mutations import mutate
from tests.fuzz.parsers import MsgpackTarget, PacketTarget, PayloadTarget, UpgradeTarget
from tests.fuzz.references import JavaScript

# Cases kept of each target; past it a new one takes the place of an old one.
MAX_CORPUS: Final = 2_000
# Findings at different places; more say nothing new.
MAX_FINDINGS: Final = 50
# A session's packets, right and wrong, and the steps of an upgrade that succeeds.
_UPGRADE: Final = (b"\x01", b"\x022probe", b"\x025")
_ENGINE_STEPS: Final = (b"4x", b"3", b"2probe", b"5", b"1", b"", b"\xff", b"2probe", b"5")


@dataclass
class Prey:
    """A target, where its fresh cases come from, how often, and the cases worth changing."""

    target: Target
    fresh: Callable[[Random], Case]
    weight: int
    corpus: list[Case] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """A broken promise, and the smallest case that breaks it."""

    target: str
    case: Case
    error: Exception

    def __str__(self) -> str:
        word = write_case(self.target, self.case)
        error = repr(self.error)[:500]
        return f"{error}\n{self.case!r}\nagain: python -m tests.fuzz --case '{word}'"


def all_prey(reference: JavaScript | None = None) -> list[Prey]:
    """Every target without a network; with a reference, the comparisons too."""
    engine, namespaces = EngineSessionTarget(), NamespaceSessionTarget()
    any_steps = grammar.steps(engine.operations, lambda _: _ENGINE_STEPS)
    namespace_steps = grammar.steps(namespaces.operations, lambda _: (b"\0", b"\1", b"\2"))
    compared = [
        Prey(ComparedPacketTarget(reference), grammar.packet, 3),
        Prey(ComparedPayloadTarget(reference), grammar.payload, 2),
    ]
    return [
        *(compared if reference is not None else []),
        Prey(PacketTarget(), grammar.packet, 5),
        Prey(MsgpackTarget(), grammar.msgpack_packet, 5),
        Prey(PayloadTarget(), grammar.payload, 2),
        Prey(UpgradeTarget(), grammar.upgrade_head, 2),
        Prey(ConnectionTarget(), visit, 3),
        Prey(engine, lambda rng: (*_UPGRADE[: rng.randrange(4)], *any_steps(rng)), 1),
        Prey(namespaces, namespace_steps, 1),
    ]


class Explorer:
    """Makes cases and runs them. One seed makes the same cases, in the same order."""

    def __init__(self, seed: int, prey: list[Prey] | None = None) -> None:
        self.seed = seed
        self.coverage = Coverage()
        self.cases = 0
        self.outcomes: Counter[str] = Counter()
        self.found: dict[str, Found] = {}
        self._rng = Random(f"explorer {seed}")
        self._prey = all_prey() if prey is None else prey

    def explore(self, seconds: float = float("inf"), cases: float = float("inf")) -> None:
        """Run cases until the time or their number is up."""
        end_s = time.monotonic() + seconds
        last = self.cases + cases
        while self.cases < last and time.monotonic() < end_s and len(self.found) < MAX_FINDINGS:
            self._try_one()

    @property
    def corpus(self) -> int:
        """How many cases are kept."""
        return sum(len(prey.corpus) for prey in self._prey)

    def _try_one(self) -> None:
        [prey] = self._rng.choices(self._prey, [prey.weight for prey in self._prey])
        case = self._next_case(prey)
        known = len(self.coverage.jumps)
        self.cases += 1
        try:
            outcome = judge(prey.target, case, self.coverage)
        except Exception as error:  # noqa: BLE001 - whatever it raises is what is looked for
            self._keep(prey.target, case, error)
            return
        self.outcomes[f"{prey.target.name}: {outcome}"] += 1
        if len(self.coverage.jumps) > known:
            if len(prey.corpus) < MAX_CORPUS:
                prey.corpus.append(case)
            else:
                prey.corpus[self._rng.randrange(MAX_CORPUS)] = case

    def _next_case(self, prey: Prey) -> Case:
        fresh = prey.fresh(self._rng)
        if not prey.corpus or self._rng.random() < 0.1:
            return fresh
        # Small cases say as much as large ones, and are changed and run in less time.
        kept = min(self._rng.choices(prey.corpus, k=3), key=lambda case: sum(map(len, case)))
        case = fresh if self._rng.random() < 0.3 else kept
        return mutate(self._rng, case, self._rng.choice([fresh, *prey.corpus[-1:]]))

    def _keep(self, target: Target, case: Case, error: Exception) -> None:
        place = place_of(error)
        if place in self.found:
            return

        def fails(candidate: Case) -> bool:
            try:
                judge(target, candidate, Coverage())
            except Exception as again:  # noqa: BLE001 - compared with the first
                return place_of(again) == place
            return False

        self.found[place] = Found(target.name, shrink(case, fails), error)


def judge(target: Target, case: Case, coverage: Coverage) -> str:
    """Run one case; it must keep every promise and cost no more than its size allows."""
    outcome = coverage.run(lambda: target.run(case))
    check_growth(target, case, coverage.steps)
    return outcome


def place_of(error: Exception) -> str:
    """What went wrong and where, the same for every case that finds it."""
    if isinstance(error, Finding):
        return error.promise
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/fuzz/" not in frame.filename] or list(frames)
    return f"{type(error).__name__} in {ours[-1].name} ({ours[-1].filename.rsplit('/', 1)[-1]})"


def is_named(outcome: str) -> bool:
    """Whether an outcome is a named violation."""
    return outcome.rpartition(": ")[2] in disconnects.REASONS
