"""Secrets at rest: unrevealed server seeds are sealed with AES-GCM."""

import secrets

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# The nonce length that NIST SP 800-38D recommends for GCM.
_NONCE_BYTES = 12


class Vault:
    """Seals and opens short texts. Raises cryptography's InvalidTag for another key or place."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, text: str, place: str) -> bytes:
        """The text encrypted, bound to the place it is stored at so that rows cannot be swapped."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())

    def open(self, sealed: bytes, place: str) -> str:
        """The text that was sealed for this place."""
        nonce, cipher = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return self._cipher.decrypt(nonce, cipher, place.encode()).decode()
