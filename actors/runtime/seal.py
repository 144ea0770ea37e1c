"""The seal in front of what members say: whoever lacks the cluster's key cannot make it."""

from hashlib import blake2b
from hmac import compare_digest
from typing import Final

# 128 bits cannot be guessed, and what is said is often not much longer itself.
_SEAL_BYTES: Final = 16


class Seal:
    """Seals what is said to a destination with a key of 64 bytes at most.

    The seal says who made it, not when: the same words can be said again to the same destination.
    Without a key it only shows what was damaged.
    """

    def __init__(self, key: bytes = b"") -> None:
        # The key is taken in once; each seal starts from a copy.
        self._begun = blake2b(key=key, digest_size=_SEAL_BYTES, person=b"pitboss said")

    def sealed(self, destination: bytes, said: bytes) -> bytes:
        """What is sent: the seal, and then what is said."""
        return self._made(destination, said) + said

    def opened(self, destination: bytes, sent: bytes) -> bytes | None:
        """What was said; None if another key sealed it, or for another destination."""
        said = sent[_SEAL_BYTES:]
        if compare_digest(self._made(destination, said), sent[:_SEAL_BYTES]):
            return said
        return None

    def _made(self, destination: bytes, said: bytes) -> bytes:
        made = self._begun.copy()
        # With its length, so that nothing of the destination passes for something that was said.
        made.update(b"%d:%b" % (len(destination), destination))
        made.update(said)
        return made.digest()
