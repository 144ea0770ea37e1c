"""Where members announce themselves: keys of Redis that expire."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from actors.runtime.membership import EXPIRES_MS, Member
from actors.runtime.ports import Unreachable
from actors.runtime.seal import Seal

log = logging.getLogger(__name__)

# All that one call may take. An announcement lives for half as long again.
LIMIT_S: Final = 1.0
# An id whose announcement has been gone for so long is a member that has ended.
_FORGET_S: Final = 60.0
# The set of ids of a cluster that has ended for good goes by itself.
_SET_EXPIRES_S: Final = 3_600

# How often is looked whether announcements without our seal have expired.
_LOOK_AGAIN_S: Final = 0.1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Member).decode


class WrongSecretError(Exception):
    """Members of the cluster announce themselves under another JWT secret; nothing was changed."""


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    """Speak with Redis for LIMIT_S at most. Raises Unreachable for all trouble with it.

    A cancellation is raised that the client has kept to itself, as it may on Python 3.11.
    """
    try:
        async with asyncio.timeout(LIMIT_S):
            yield
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
    except TimeoutError:
        raise Unreachable(f"Redis: no answer within {LIMIT_S:g} s") from None
    except (RedisError, OSError) as error:
        raise Unreachable(f"Redis: {error}") from error


class RedisRegistry:
    """The announcements of a cluster's members in a Redis, and the set of their ids.

    `url` is as redis-py reads it; raises ValueError for what is none. Announcements are sealed with
    the cluster's `key`, and those that are not are passed over. `expires_ms` is how long one is
    seen that is not renewed.
    """

    def __init__(
        self, url: str, cluster: str, key: bytes = b"", *, expires_ms: int = EXPIRES_MS
    ) -> None:
        self._redis = Redis.from_url(
            url,
            # One at a time; the second is for `withdraw` beside an announcement that hangs.
            max_connections=2,
            socket_timeout=LIMIT_S,
            socket_connect_timeout=LIMIT_S,
            # Once more for a connection that Redis has closed since the last time.
            retry=Retry(NoBackoff(), 1),
            protocol=2,
            client_name=f"{cluster}-registry",
        )
        self._seal = Seal(key)
        self._expires_ms = expires_ms
        self._cluster = cluster
        self._prefix = f"{cluster}:member:".encode()
        self._ids = f"{cluster}:members"
        # Ids are whatever is in the set, also what no member has put there. Since when the
        # announcements of known ones have been gone, and whose could not be read.
        self._gone_since_s: dict[bytes, float] = {}
        self._unreadable: set[bytes] = set()
        # Whose announcements did not bear the seal at the last look.
        self._unsealed: list[bytes] = []

    async def announce(self, mine: Member) -> list[Member]:
        """Announce oneself, and see everybody who does. Raises Unreachable within LIMIT_S."""
        async with _in_time():
            ids = await self._tell(mine)
            found = await self._redis.mget([self._prefix + id_ for id_ in ids])
            seen = self._read(ids, found)
            await self._forget_ended()
        return seen

    async def look(self) -> list[Member]:
        """See everybody without announcing oneself. Raises Unreachable within LIMIT_S."""
        async with _in_time():
            async with self._redis.pipeline(transaction=False) as asked:
                asked.smembers(self._ids)
                (known,) = await asked.execute()
            ids = sorted(known)
            keys = [self._prefix + id_ for id_ in ids]
            return self._read(ids, await self._redis.mget(keys) if keys else [])

    async def check_secret(self) -> None:
        """See that all who announce themselves have our key, before one does so oneself.

        The last words of members that have ended expire: for that they have twice as long as it
        takes, and then somebody says them anew. What does not expire so soon is no member's.

        Raises:
            WrongSecretError: Somebody has another key.
            Unreachable: Redis does not answer, within LIMIT_S.
        """
        until_s = time.monotonic() + 2 * self._expires_ms / 1_000
        while True:
            await self.look()
            strangers = await self._expiring(self._unsealed)
            if not strangers:
                return
            if time.monotonic() > until_s:
                raise WrongSecretError(
                    f"members of the cluster {self._cluster} are announced in Redis with another"
                    f" JWT secret ({', '.join(map(_legible, strangers))}): set PITBOSS_JWT_SECRET"
                    " to theirs, or end them first"
                )
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _expiring(self, ids: Sequence[bytes]) -> list[bytes]:
        """Those of these whose announcements expire as soon as members' do."""
        async with _in_time(), self._redis.pipeline(transaction=False) as asked:
            for id_ in ids:
                asked.pttl(self._prefix + id_)
            left_ms = await asked.execute()
        known = zip(ids, left_ms, strict=True)
        return [id_ for id_, left in known if 0 <= left <= self._expires_ms]

    async def withdraw(self, member: str) -> None:
        """Be gone at once. Raises Unreachable within LIMIT_S."""
        async with _in_time(), self._redis.pipeline(transaction=False) as asked:
            asked.delete(self._prefix + member.encode())
            asked.srem(self._ids, member)
            await asked.execute()

    async def close(self) -> None:
        """End the connections."""
        await self._redis.aclose()

    async def _tell(self, mine: Member) -> list[bytes]:
        """Announce oneself; the ids of all, some of them perhaps gone."""
        id_ = mine.id.encode()
        async with self._redis.pipeline(transaction=False) as asked:
            said = self._seal.sealed(_sealed_for(id_), _encode(mine))
            asked.set(self._prefix + id_, said, px=self._expires_ms)
            asked.sadd(self._ids, id_)
            asked.expire(self._ids, _SET_EXPIRES_S)
            asked.smembers(self._ids)
            *_, ids = await asked.execute()
        return sorted(ids)

    def _read(self, ids: Sequence[bytes], found: Sequence[bytes | str | None]) -> list[Member]:
        now_s = time.monotonic()
        seen = []
        gone_since_s = {}
        self._unsealed = []
        for id_, sent in zip(ids, found, strict=True):
            if sent is None:
                gone_since_s[id_] = self._gone_since_s.get(id_, now_s)
                continue
            assert isinstance(sent, bytes), "nothing is decoded on the way"
            said = self._seal.opened(_sealed_for(id_), sent)
            if said is None:
                self._unsealed.append(id_)
                self._warn_once(id_, "of another JWT secret, or of a stranger")
                continue
            try:
                seen.append(_decode(said))
            except msgspec.DecodeError as error:
                self._warn_once(id_, f"of another version: {error}")
        self._gone_since_s = gone_since_s
        self._unreadable.intersection_update(ids)
        return seen

    def _warn_once(self, id_: bytes, why: str) -> None:
        if id_ not in self._unreadable:
            self._unreadable.add(id_)
            log.warning("the announcement of %s is %s", _legible(id_), why)

    async def _forget_ended(self) -> None:
        now_s = time.monotonic()
        ended = [id_ for id_, at_s in self._gone_since_s.items() if now_s - at_s >= _FORGET_S]
        if ended:
            await self._redis.srem(self._ids, *ended)


def _sealed_for(id_: bytes) -> bytes:
    return b"member:" + id_


def _legible(id_: bytes) -> str:
    return id_.decode(errors="backslashreplace")
