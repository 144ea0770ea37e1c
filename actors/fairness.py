"""The random numbers of every game, which anyone can compute again once the seed is revealed.

The scheme is the one that most provably fair casinos share: HMAC-SHA256 keyed with the server seed
as text over `client_seed:nonce:block`, read as 32-bit big-endian words.
"""

import hashlib
import hmac
from collections.abc import Iterator
from struct import unpack_from

WORDS_PER_BLOCK = 8


def seed_hash(server_seed: str) -> str:
    """The commitment shown before play: SHA-256 of the server seed as text, in hexadecimal."""
    return hashlib.sha256(server_seed.encode()).hexdigest()


def first_word(server_seed: str, client_seed: str, nonce: int) -> int:
    """Word 0 alone: all that a game with one draw needs."""
    message = f"{client_seed}:{nonce}:0".encode()
    return int.from_bytes(hmac.digest(server_seed.encode(), message, "sha256")[:4])


def words(server_seed: str, client_seed: str, nonce: int) -> Iterator[int]:
    """The words of block 0, block 1, ... without end. Each is uniform over 0 to 2**32 - 1."""
    key = server_seed.encode()
    block = 0
    while True:
        digest = hmac.digest(key, f"{client_seed}:{nonce}:{block}".encode(), "sha256")
        yield from unpack_from(f">{WORDS_PER_BLOCK}I", digest)
        block += 1
