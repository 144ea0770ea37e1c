"""What was acknowledged survives every kill, once."""

from pathlib import Path

import pytest

from tests.e2e import kills


@pytest.mark.slow
async def test_twenty_kills_under_load_lose_and_repeat_nothing(stocked_path: Path) -> None:
    report = await kills.run(stocked_path, kills=20, seed=20)
    assert report.kills == 20
    assert report.postgres_kills == 4
    assert report.acknowledged > 20 * kills.PLAYERS
    assert report.resent > 0
    assert report.games_of_mines > kills.PLAYERS
    assert (report.lost, report.changed, report.duplicated) == ([], [], [])
    assert (report.refused, report.findings) == ([], [])
