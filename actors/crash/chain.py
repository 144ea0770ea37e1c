"""The chain of hashes a crash table plays: each is the SHA-256 of the next to be played.

Position p, from 1 to the length, is the p-th round. The hash before round 1 is the terminal hash,
which is published before anybody bets: it commits to all rounds. As a hash does not tell the next
one, a round's hash can be shown when the round is over.
"""

import hashlib
from typing import Final

import msgspec

# Links that are kept lie so far apart. Hashing between two of them takes under a millisecond, and a
# chain of a million rounds is a thousand rows.
STEP: Final = 1_000
DEFAULT_LENGTH: Final = 1_000_000
# Four years of rounds at ten seconds each. Making it takes seconds, and its links are 13,000 rows.
MOST_LENGTH: Final = 13_000_000
TERMINAL: Final = 0
"""The position of the terminal hash, which is nobody's round."""
MAX_PUBLIC_SEED_CHARS: Final = 128


def before(round_hash: str) -> str:
    """The hash of the round before: SHA-256 of this one as text, in hexadecimal."""
    return hashlib.sha256(round_hash.encode()).hexdigest()


def link_below(position: int) -> int:
    """The position of the next link that is kept below this one; TERMINAL below the first."""
    assert position > TERMINAL, position
    return (position - 1) // STEP * STEP


def descend(round_hash: str, steps: int) -> str:
    """The hash so many rounds before this one."""
    # A million of these are hashed for a chain: written out, this takes three quarters of the time.
    sha256 = hashlib.sha256
    for _ in range(steps):
        round_hash = sha256(round_hash.encode()).hexdigest()
    return round_hash


def is_public_seed(text: str) -> bool:
    """Whether this can be a public seed: 1 to 128 printable ASCII characters, without spaces."""
    return 0 < len(text) <= MAX_PUBLIC_SEED_CHARS and all("!" <= sign <= "~" for sign in text)


class Chain(msgspec.Struct):
    """A chain whose public seed is fixed. `links` has the hash at every STEP, and the last one."""

    chain_id: int
    length: int
    public_seed: str
    links: dict[int, str]
    # The hashes between two links, kept as consecutive rounds come from the same ones.
    _first: int = 0
    _hashes: list[str] = []

    def __repr__(self) -> str:
        """Without the links: whoever reads them in a log knows the rounds to come."""
        return f"Chain({self.chain_id}, {self.length} rounds)"

    def hash_of(self, position: int) -> str:
        """The hash of a round; hashes STEP times at most, and not at all for its neighbours."""
        assert TERMINAL < position <= self.length, position
        at = position - self._first
        if not 0 <= at < len(self._hashes):
            self._compute(position)
            at = position - self._first
        return self._hashes[at]

    def _compute(self, position: int) -> None:
        above = min(-(-position // STEP) * STEP, self.length)
        below = link_below(above)
        hashes = [self.links[above]]
        for _ in range(above - below - 1):
            hashes.append(before(hashes[-1]))
        hashes.reverse()
        self._first, self._hashes = below + 1, hashes
