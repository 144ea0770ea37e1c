"""The store of each kind of actor, as one for the runtime."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from actors.kind import Kind
from actors.runtime.ports import Store, Stored


class Stores:
    """Hands each read to the store of its kind."""

    def __init__(self, by_kind: Mapping[str, Store]) -> None:
        self._by_kind = by_kind

    async def hydrate(self, kind: Kind, keys: Sequence[int]) -> dict[int, Stored]:
        """All actors of `keys` in one go; one without rows is absent."""
        return await self._by_kind[kind.name].hydrate(kind, keys)

    async def find(self, kind: Kind, key: int, request_id: UUID) -> Any | None:
        """The committed fact with this request id."""
        return await self._by_kind[kind.name].find(kind, key, request_id)

    def put_snapshot(self, kind: Kind, key: int, version: int, snapshot: bytes) -> None:
        """Remember a committed state some time soon. It may be dropped."""
        self._by_kind[kind.name].put_snapshot(kind, key, version, snapshot)
