"""Where members announce themselves, as tests have it: on the memory hub, in its weather."""

import asyncio
from collections.abc import Callable

from actors.runtime.membership import EXPIRES_MS, Member
from actors.runtime.ports import Unreachable
from storage.registry import LIMIT_S
from tests.support.memory_bus import MemoryHub


def loop_time_s() -> float:
    """The running loop's clock."""
    return asyncio.get_running_loop().time()


class MemoryRegistry:
    """One member's view of the announcements. `clock_s` is the hub's, by which they expire."""

    def __init__(
        self,
        hub: MemoryHub,
        *,
        expires_ms: int = EXPIRES_MS,
        clock_s: Callable[[], float] = loop_time_s,
    ) -> None:
        self._hub = hub
        self._expires_s = expires_ms / 1_000
        self._clock_s = clock_s

    async def announce(self, mine: Member) -> list[Member]:
        """Announce oneself, and see everybody who does. Raises Unreachable."""
        await self._travel(self._hub.mute(mine.id))
        now_s = self._clock_s()
        self._hub.announced[mine.id] = (now_s + self._expires_s, mine)
        seen = [member for expires_s, member in self._hub.announced.values() if expires_s > now_s]
        await self._travel(self._hub.deaf(mine.id))
        return seen

    async def withdraw(self, member: str) -> None:
        """Be gone at once. Raises Unreachable."""
        await self._travel(self._hub.mute(member))
        self._hub.announced.pop(member, None)
        await self._travel(self._hub.deaf(member))

    async def _travel(self, blocked: bool) -> None:
        """Be on the way, which ends at the latest when nobody would wait any longer."""
        delay_s = LIMIT_S if blocked else self._hub.delay_s()
        if self._hub.up:
            await asyncio.sleep(min(delay_s, LIMIT_S))
        if not self._hub.up or delay_s >= LIMIT_S:
            raise Unreachable("Redis")
