"""Sessions that are looked up together."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from protocol.errors import STORAGE_UNAVAILABLE, Failure
from server.auth import lookups as lookups_module
from server.auth.lookups import SessionLookups
from tests.unit.virtual_loop import run


class Sessions:
    """A table of sessions that takes a second to ask."""

    def __init__(self) -> None:
        self.over: set[UUID] = set()
        self.queries: list[int] = []
        self.away = False
        self.at_once = 0

    async def ended(self, session_ids: Sequence[UUID]) -> list[UUID]:
        self.queries.append(len(session_ids))
        self.at_once += 1
        assert self.at_once == 1, "one query at a time"
        # What is asked is what holds when the query begins.
        found = [one for one in session_ids if one in self.over]
        await asyncio.sleep(1)
        self.at_once -= 1
        if self.away:
            raise Failure(STORAGE_UNAVAILABLE)
        return found


def test_a_crowd_shares_a_few_queries() -> None:
    async def scenario() -> None:
        sessions = Sessions()
        lookups = SessionLookups(sessions.ended)
        known = [uuid4() for _ in range(1_200)]
        sessions.over = set(known[::3])
        first = asyncio.create_task(lookups.active(known[0]))
        await asyncio.sleep(0.5)
        answers = await asyncio.gather(*map(lookups.active, known))
        assert answers == [one not in sessions.over for one in known]
        assert await first is False
        assert sessions.queries == [1, 500, 500, 200]

    run(scenario())


def test_who_asks_during_a_query_is_answered_by_the_next_one() -> None:
    async def scenario() -> None:
        sessions = Sessions()
        lookups = SessionLookups(sessions.ended)
        session = uuid4()
        before = asyncio.create_task(lookups.active(session))
        await asyncio.sleep(0.5)
        sessions.over.add(session)
        assert await lookups.active(session) is False
        assert await before is True

    run(scenario())


def test_an_outage_is_told_to_all_and_over_with_the_next_query() -> None:
    async def scenario() -> None:
        sessions = Sessions()
        sessions.away = True
        lookups = SessionLookups(sessions.ended)
        answers = await asyncio.gather(
            *(lookups.active(uuid4()) for _ in range(3)), return_exceptions=True
        )
        assert [isinstance(answer, Failure) for answer in answers] == [True] * 3
        sessions.away = False
        assert await lookups.active(uuid4())

    run(scenario())


def test_who_leaves_harms_nobody() -> None:
    async def scenario() -> None:
        sessions = Sessions()
        lookups = SessionLookups(sessions.ended)
        leaving = [asyncio.create_task(lookups.active(uuid4())) for _ in range(5)]
        staying = asyncio.create_task(lookups.active(uuid4()))
        await asyncio.sleep(0.5)
        for task in leaving:
            task.cancel()
        assert await staying
        assert await lookups.active(uuid4())

    run(scenario())


def test_the_wait_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(lookups_module, "MAX_WAITING", 2)
        lookups = SessionLookups(Sessions().ended)
        waiting = [asyncio.create_task(lookups.active(uuid4())) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Failure, match="overloaded"):
            await lookups.active(uuid4())
        assert await asyncio.gather(*waiting) == [True, True]
        assert await lookups.active(uuid4())

    run(scenario())
