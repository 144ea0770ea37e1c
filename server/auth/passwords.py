"""Passwords: hashed with Argon2id, off the event loop, a bounded number at a time."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from protocol.errors import OVERLOADED, Failure

# One hash takes 64 MiB and about a tenth of a second of several cores: two at a time bound the
# memory to 128 MiB and leave the cores to the bets.
_THREADS: Final = 2
# Hashes that run or wait: on two cores, a wait of about 3 seconds. More: `overloaded`.
MAX_PENDING: Final = 32

_Result = TypeVar("_Result")


class Verdict(NamedTuple):
    """Whether the password is right, and its new hash where the stored one is out of date."""

    matches: bool
    new_hash: str | None = None


class Passwords:
    """Hashes and checks passwords in threads of its own. Close it at the end.

    Without a hasher, Argon2id with the parameters that argon2-cffi recommends (RFC 9106, 4).
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")
        self._pending = 0
        # An unknown user is checked against this, so that it takes as long as a wrong password.
        # Made with today's parameters, as most stored hashes are, and before any check runs.
        self._nobody = self._threads.submit(self._hasher.hash, secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """The hash to store: salt and parameters are in it.

        Raises:
            Failure: `overloaded` when too many wait.
        """
        return await self._run(lambda: self._hasher.hash(_to_bytes(password)))

    async def check(self, password: str, stored: str | None) -> Verdict:
        """Whether `password` is the one that was `stored`; None takes as long and never matches.

        Raises:
            Failure: `overloaded` when too many wait.
        """
        return await self._run(lambda: self._check(_to_bytes(password), stored))

    def close(self) -> None:
        """Wait for the hashes that run; those that wait are cancelled."""
        self._threads.shutdown(cancel_futures=True)

    def _check(self, password: bytes, stored: str | None) -> Verdict:
        try:
            self._hasher.verify(stored or self._nobody.result(), password)
        except VerifyMismatchError:
            return Verdict(matches=False)
        if stored is None:
            return Verdict(matches=False)
        outdated = self._hasher.check_needs_rehash(stored)
        return Verdict(True, self._hasher.hash(password) if outdated else None)

    async def _run(self, job: Callable[[], _Result]) -> _Result:
        if self._pending >= MAX_PENDING:
            raise Failure(OVERLOADED)
        self._pending += 1
        try:
            # A caller who gives up takes a waiting job out of the queue. A running one runs on
            # uncounted, but there are never more of those than threads.
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)
        finally:
            self._pending -= 1


def _to_bytes(password: str) -> bytes:
    """Any text is a password, even one that is not valid Unicode (as a terminal may hand over)."""
    return password.encode("utf-8", "surrogatepass")
