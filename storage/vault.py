"""Secrets at rest: unrevealed seeds and hashes are sealed with AES-GCM."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# The nonce length that NIST SP 800-38D recommends for GCM.
_NONCE_BYTES = 12


class WrongKeyError(Exception):
    """What is sealed for a place was sealed with another key, or for another place."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"{place} does not open with the seed encryption key: it was sealed with another one,"
            " which must be set as the previous key until everything is sealed anew"
        )


class Vault:
    """Seals short texts with `key`, and opens them with it or with the `previous` one."""

    def __init__(self, key: bytes, previous: bytes | None = None) -> None:
        self._cipher = AESGCM(key)
        self._previous = AESGCM(previous) if previous else None

    def seal(self, text: str, place: str) -> bytes:
        """The text encrypted, bound to the place it is stored at so that rows cannot be swapped."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())

    def open(self, sealed: bytes, place: str) -> str:
        """The text that was sealed for this place. Raises WrongKeyError."""
        text = _opened(self._cipher, sealed, place)
        if text is None and self._previous is not None:
            text = _opened(self._previous, sealed, place)
        if text is None:
            raise WrongKeyError(place)
        return text

    def renewed(self, sealed: bytes, place: str) -> bytes | None:
        """The same text sealed with the key; None if it is already. Raises WrongKeyError."""
        if _opened(self._cipher, sealed, place) is not None:
            return None
        return self.seal(self.open(sealed, place), place)


def _opened(cipher: AESGCM, sealed: bytes, place: str) -> str | None:
    try:
        text = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):  # the latter where it is too short to have been sealed
        return None
    return text.decode()
