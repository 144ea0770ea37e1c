"""Pages of lists in memory: in order, complete, bounded, and never in anybody's way."""

import asyncio
from itertools import pairwise
from typing import NamedTuple

import pytest

from protocol.bounds import MAX_LOOKS_PER_PAGE
from protocol.commands.node import Connections, Rooms
from server.newest import newest
from server.sockets.deadlines import SLICE_S
from tests.unit.virtual_loop import run, virtual_loop


class Item(NamedTuple):
    number: int


def items(*numbers: int) -> list[Item]:
    return [Item(number) for number in numbers]


def show(item: Item) -> int | None:
    return item.number


@pytest.mark.parametrize(
    ("before", "limit", "rows", "next_before"),
    [
        (None, 2, [9, 7], 7),
        (None, 4, [9, 7, 4, 2], None),
        (None, 9, [9, 7, 4, 2], None),
        (7, 2, [4, 2], None),
        (7, 1, [4], 4),
        # Nothing needs to have the number that a page begins before.
        (8, 1, [7], 7),
        (1_000, 1, [9], 9),
        (2, 5, [], None),
        (1, 5, [], None),
    ],
)
def test_a_page_begins_where_the_one_before_ended(
    before: int | None, limit: int, rows: list[int], next_before: int | None
) -> None:
    async def scenario() -> None:
        assert await newest(items(2, 4, 7, 9), before, limit, show) == (rows, next_before)

    run(scenario())


def test_of_nothing_there_is_one_empty_page() -> None:
    async def scenario() -> None:
        assert await newest([], None, 5, show) == ([], None)
        assert await newest([], 5, 5, show) == ([], None)

    run(scenario())


def test_one_call_looks_at_so_many_and_says_where_to_go_on() -> None:
    looked: list[int] = []

    def only_the_first(item: Item) -> int | None:
        looked.append(item.number)
        return 1 if item.number == 1 else None

    async def scenario() -> None:
        many = items(*range(1, 2 * MAX_LOOKS_PER_PAGE + 2))
        before, pages = None, []
        while True:
            rows, before = await newest(many, before, 5, only_the_first)
            pages.append((rows, len(looked)))
            if before is None:
                break
        assert pages == [
            ([], MAX_LOOKS_PER_PAGE),
            ([], 2 * MAX_LOOKS_PER_PAGE),
            ([1], 2 * MAX_LOOKS_PER_PAGE + 1),
        ]

    run(scenario())


@pytest.mark.parametrize("answer", [Connections, Rooms])
def test_the_documents_say_at_how_many(answer: type) -> None:
    assert f"{MAX_LOOKS_PER_PAGE:,} at most" in (answer.__doc__ or "")


def test_other_things_go_on_between_two_looks() -> None:
    """A look takes a fifth of a slice here, so the loop is given back every few looks."""
    turns: list[int] = []
    looks = 0

    def slow(_item: Item) -> None:
        nonlocal looks
        looks += 1
        virtual_loop().advance(SLICE_S / 5)

    async def others() -> None:
        while True:
            turns.append(looks)
            await asyncio.sleep(0)

    async def scenario() -> None:
        other = asyncio.create_task(others())
        await newest(items(*range(1, 101)), None, 5, slow)
        other.cancel()
        assert looks == 100
        pauses = [after - before for before, after in pairwise(turns)]
        assert len(pauses) >= 100 // 6 - 1
        assert max(pauses) <= 6

    run(scenario())
