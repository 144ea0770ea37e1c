"""The random numbers of every game, which anyone can compute again once the seed is revealed.

The scheme is the one that most provably fair casinos share: HMAC-SHA256 keyed with the server seed
as text over `client_seed:nonce:block`, read as 32-bit big-endian words.
"""

import hashlib
from collections.abc import Iterator
from struct import unpack_from

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

WORDS_PER_BLOCK = 8


def seed_hash(server_seed: str) -> str:
    """The commitment shown before play: SHA-256 of the server seed as text, in hexadecimal."""
    return hashlib.sha256(server_seed.encode()).hexdigest()


class Words:
    """The words of one seed pair. Each is uniform over 0 to 2**32 - 1.

    The HMAC is keyed once and copied for each block: keying it takes longer than all the rest.
    """

    __slots__ = ("_client_seed", "_keyed")

    def __init__(self, server_seed: str, client_seed: str) -> None:
        self._client_seed = client_seed
        self._keyed = HMAC(server_seed.encode(), SHA256())

    def first(self, nonce: int) -> int:
        """Word 0 alone: all that a game with one draw needs."""
        return int.from_bytes(self._block(nonce, 0)[:4])

    def of(self, nonce: int) -> Iterator[int]:
        """The words of block 0, block 1, ... without end."""
        block = 0
        while True:
            yield from unpack_from(f">{WORDS_PER_BLOCK}I", self._block(nonce, block))
            block += 1

    def _block(self, nonce: int, block: int) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(f"{self._client_seed}:{nonce}:{block}".encode())
        return keyed.finalize()


def first_word(server_seed: str, client_seed: str, nonce: int) -> int:
    """Word 0 of a single bet."""
    return Words(server_seed, client_seed).first(nonce)


def words(server_seed: str, client_seed: str, nonce: int) -> Iterator[int]:
    """The words of a single bet, without end."""
    return Words(server_seed, client_seed).of(nonce)
