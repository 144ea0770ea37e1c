"""What the soak counts and computes: trends, the disk, the ledger, and one short soak."""

import json
from pathlib import Path

import pytest

from benchmarks.ledger import LedgerError
from benchmarks.soak import Options, SoakError, bench, check_count, check_disk
from benchmarks.trend import trend


def test_a_flat_figure_has_no_trend() -> None:
    assert trend([0, 60, 120, 180], [5, 5, 5, 5]) == (5, 5, 0)
    assert trend([0, 60], [5, 5]).ratio == 1.0


def test_a_figure_that_grows_shows_it_by_its_quarters_and_by_its_slope() -> None:
    found = trend([0, 60, 120, 180, 240, 300, 360, 420], [10, 11, 12, 13, 14, 15, 16, 17])
    assert found.first == 10.5
    assert found.last == 16.5
    assert found.ratio == pytest.approx(16.5 / 10.5)
    assert found.per_hour == pytest.approx(60)


def test_a_disk_that_is_too_small_is_refused_beforehand(tmp_path: Path) -> None:
    sentence = check_disk(tmp_path, 10_000_000, lambda _folder: 8_000_000_001)
    assert "10,000,000 bets will take 8.0 GB" in sentence
    with pytest.raises(SoakError, match="Choose fewer --seconds"):
        check_disk(tmp_path, 10_000_000, lambda _folder: 7_999_999_999)


@pytest.mark.parametrize("rows", [100, 101, 103])
def test_a_ledger_may_have_what_was_refused_for_a_passing_reason(rows: int) -> None:
    check_count(rows, acknowledged=100, refused=3)


@pytest.mark.parametrize("rows", [99, 104])
def test_a_ledger_with_fewer_or_more_bets_is_refused(rows: int) -> None:
    with pytest.raises(LedgerError):
        check_count(rows, acknowledged=100, refused=3)


@pytest.mark.slow
async def test_a_short_soak_reads_wallets_back_and_puts_them_away(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    options = Options(seconds=6, every_s=2, rate=300, connections=64, wallets=128)
    report = await bench(options, file)
    assert "The ledger is clean." in report
    *rows, _trends = json.loads(file.read_bytes())["series"]
    assert len(rows) >= 2
    assert all(row["bets"] > 0 for row in rows)
    assert sum(row["hydrations"] for row in rows) > options.connections
    assert sum(row["passivations"] for row in rows) > 0
