"""Histories page by page: a page looks at a bounded number of entries, and misses none."""

from typing import Any

import pytest

from storage.queries import stretch
from tests.floor.house import House, Seat, bet


async def pages(seat: Seat, name: str, field: str, **asked: Any) -> list[list[int]]:
    """The sequence numbers of all pages, from the newest to the last."""
    found = []
    before: int | None = None
    while True:
        page = await seat.ok(name, {**asked, **({"before": before} if before else {})})
        found.append([row["seq"] for row in page[field]])
        before = page["next_before"]
        if before is None:
            return found


async def test_a_filter_that_fits_few_entries_reads_no_more_of_them_than_a_page_may(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretch, "LOOKED_AT", 4)
    ann = await house.guest()
    await ann.pull("BTC")
    await ann.pull("PLAY")
    seat = await ann.connect()
    assert await pages(seat, "bet:history", "bets") == [[]]
    for _ in range(8):
        await seat.ok("dice:roll", bet())
    await ann.pull("BTC")
    filtered = await pages(seat, "wallet:history", "entries", currency="BTC")
    assert filtered == [[11], [], [1]]
    every = await pages(seat, "wallet:history", "entries")
    assert every == [[11, 10, 9, 8], [7, 6, 5, 4], [3, 2, 1]]
    few = await pages(seat, "wallet:history", "entries", limit=3)
    assert few == [[11, 10, 9], [8, 7, 6], [5, 4, 3], [2, 1]]
    assert await pages(seat, "bet:history", "bets") == [[10, 9, 8], [7, 6, 5, 4], [3]]


async def test_a_history_from_beyond_the_newest_entry_begins_at_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretch, "LOOKED_AT", 4)
    ann = await house.guest()
    seat = await ann.connect()
    assert await pages(seat, "wallet:history", "entries") == [[]]
    await ann.pull()
    page = await seat.ok("wallet:history", {"before": 1_000_000})
    assert ([row["seq"] for row in page["entries"]], page["next_before"]) == ([1], None)
    page = await seat.ok("wallet:history", {"before": 1})
    assert (page["entries"], page["next_before"]) == ([], None)
