"""One input of the fuzzer: a sequence of byte strings, and what it may turn out to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

# What the parts mean is up to the target: a message and its attachments, or a list of steps.
Case = tuple[bytes, ...]

# A case is cut to these: a few times what any bound of the wire lets in.
MAX_PARTS: Final = 64
MAX_CASE_BYTES: Final = 150_000
# How many smaller cases are tried for the shortest one that still fails.
_MAX_SHRINKS: Final = 2_000


class Finding(Exception):  # noqa: N818 - it is what a fuzzer looks for, not an error
    """The code broke a promise; the detail says how in this case."""

    def __init__(self, promise: str, detail: str = "") -> None:
        super().__init__(f"{promise}: {detail}" if detail else promise)
        self.promise = promise


class Target(Protocol):
    """Code under test: it makes cases, and judges what the code does with them."""

    @property
    def name(self) -> str:
        """What findings, and the command line, call it."""

    def run(self, case: Case) -> str:
        """Name the outcome, which is counted. Raises `Finding`, or whatever the code raised."""


def require(holds: bool, promise: str, detail: str = "") -> None:
    """Raise `Finding` unless a promise holds."""
    if not holds:
        raise Finding(promise, detail)


def write_case(target: str, case: Case) -> str:
    """A case as one word for the command line."""
    return f"{target}:{'.'.join(part.hex() for part in case)}"


def read_case(word: str) -> tuple[str, Case]:
    """The target's name and the case of a word."""
    target, _, parts = word.partition(":")
    return target, tuple(map(bytes.fromhex, parts.split(".")))


def bounded(case: Case) -> Case:
    """The case, cut to the bounds above; never empty."""
    kept: list[bytes] = []
    room = MAX_CASE_BYTES
    for part in case[:MAX_PARTS]:
        kept.append(part[:room])
        room -= len(kept[-1])
    return tuple(kept) or (b"",)


def shrink(case: Case, fails: Callable[[Case], bool]) -> Case:
    """The smallest case found that fails as well: parts and ranges are left out while it does."""
    tries = _MAX_SHRINKS
    smaller = True
    while smaller and tries > 0:
        smaller = False
        for candidate in _shorter(case):
            tries -= 1
            if fails(candidate):
                case, smaller = candidate, True
                break
            if tries <= 0:
                break
    return case


def _shorter(case: Case) -> Iterator[Case]:
    """The case without one of its parts, then without a range of one part, large ranges first."""
    if len(case) > 1:
        for index in range(len(case)):
            yield case[:index] + case[index + 1 :]
    for index, part in enumerate(case):
        size = len(part)
        while size:
            for start in range(0, len(part), size):
                shorter = part[:start] + part[start + size :]
                yield (*case[:index], shorter, *case[index + 1 :])
            size //= 2
