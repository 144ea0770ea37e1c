"""How many may be here at a time, in all and from each address."""

from collections import Counter

from protocol.errors import OVERLOADED, TOO_MANY_CONNECTIONS, Failure


class Places:
    """Counts who is here. A refusal is a `Failure` with the limit and when to come back."""

    __slots__ = ("_by_address", "_limit", "_limit_per_address", "_retry_after_ms", "taken")

    def __init__(self, limit: int, limit_per_address: int, retry_after_ms: int) -> None:
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._retry_after_ms = retry_after_ms
        # One entry for each address that is here, so `limit` at most.
        self._by_address: Counter[str] = Counter()
        self.taken = 0

    def check(self, address: str | None) -> None:
        """Raise the `Failure` that refuses one more from `address`, if one does.

        Nobody's own address, None, counts only in all.
        """
        if self.taken >= self._limit:
            raise Failure(OVERLOADED, limit=self._limit, retry_after_ms=self._retry_after_ms)
        if address is not None and self._by_address[address] >= self._limit_per_address:
            raise Failure(
                TOO_MANY_CONNECTIONS,
                limit=self._limit_per_address,
                retry_after_ms=self._retry_after_ms,
            )

    def enter(self, address: str | None) -> None:
        """One more from `address` is here."""
        self.taken += 1
        if address is not None:
            self._by_address[address] += 1

    def release(self, address: str | None) -> None:
        """One from `address` has gone."""
        self.taken -= 1
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
