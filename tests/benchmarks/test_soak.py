"""What the soak counts and computes: trends, the disk, the ledger, and one short soak."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from benchmarks import soak
from benchmarks.condition import Condition
from benchmarks.flatness import OTHERS_CORES, REFUSED_SHARE, ROWS, Flatness
from benchmarks.ledger import LedgerError
from benchmarks.looks import looking
from benchmarks.players import EnlistError, Player, renewed
from benchmarks.server_process import Server
from benchmarks.soak import Options, SoakError, bench, check_count, check_disk
from benchmarks.trend import Trend, trend

FLAT = {name: Trend(10, 10, 0) for name in ("rss_mb", "heap_mb", "p50_ms", "p99_ms")}
STEADY = Flatness(FLAT, refused_share=0.0, others_cores=0.0, rows=ROWS)


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


def grown(name: str, times: float) -> dict[str, Trend]:
    return {**FLAT, name: Trend(10, 10 * times, 0)}


def test_what_stays_within_its_bounds_is_flat() -> None:
    assert not STEADY.crossed
    assert not STEADY.failed
    assert "not flat" not in STEADY.table({name: name for name in FLAT})
    # What has no bound of its own may go where it likes.
    assert not STEADY._replace(trends=grown("p50_ms", 9)).failed


@pytest.mark.parametrize(
    ("name", "within", "beyond"),
    [("rss_mb", 1.24, 1.26), ("heap_mb", 1.24, 1.26), ("p99_ms", 1.99, 2.01)],
)
def test_a_figure_beyond_its_bound_fails_the_soak_and_is_marked(
    name: str, within: float, beyond: float
) -> None:
    assert not STEADY._replace(trends=grown(name, within)).failed
    found = STEADY._replace(trends=grown(name, beyond))
    assert found.failed
    marked = [line for line in found.table({one: one for one in FLAT}).splitlines() if "**" in line]
    assert [line.split("|")[1].strip() for line in marked] == [name]
    assert found.sentence() == f"Not flat: {name}."


def test_too_many_refusals_fail_the_soak() -> None:
    assert not STEADY._replace(refused_share=REFUSED_SHARE).failed
    assert STEADY._replace(refused_share=REFUSED_SHARE * 1.01).failed


def test_a_busy_machine_or_a_few_rows_are_no_verdict_but_leave_the_mark() -> None:
    bad = STEADY._replace(trends=grown("rss_mb", 3))
    assert bad._replace(others_cores=OTHERS_CORES).failed
    for excused in (bad._replace(others_cores=OTHERS_CORES + 0.01), bad._replace(rows=ROWS - 1)):
        assert not excused.failed
        assert "**not flat**" in excused.table({name: name for name in FLAT})
        assert "no verdict" in excused.sentence()


@pytest.mark.parametrize(
    ("arguments", "flatness", "code"),
    [
        ([], STEADY, 0),
        ([], STEADY._replace(refused_share=0.5), 1),
        (["--quick"], STEADY._replace(refused_share=0.5), 0),
    ],
)
def test_the_exit_code_is_the_verdict_unless_the_soak_was_quick(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], flatness: Flatness, code: int
) -> None:
    async def measured(_options: Options, _file: Path | None) -> tuple[str, Flatness]:
        return "the report", flatness

    monkeypatch.setattr(soak, "bench", measured)
    result = CliRunner().invoke(soak.main, arguments)
    assert result.exit_code == code
    assert "the report" in result.output


def test_a_row_in_which_tokens_could_end_is_refused() -> None:
    result = CliRunner().invoke(soak.main, ["--every", "241"])
    assert result.exit_code == 2
    assert "240" in result.output


@pytest.fixture
async def desk() -> AsyncIterator[str]:
    """The address of a server that trades the refresh tokens `old-1` to `old-9`, each once."""
    traded: set[str] = set()

    async def refresh(request: web.Request) -> web.Response:
        token = (await request.json())["refresh_token"]
        if not token.startswith("old-") or token in traded:
            return web.json_response({"error": {"code": "token_reused"}}, status=401)
        traded.add(token)
        number = int(token.removeprefix("old-"))
        data = {
            "user": {"id": number},
            "access_token": f"access-{number}",
            "refresh_token": f"new-{number}",
        }
        return web.json_response({"data": data})

    app = web.Application()
    app.router.add_post("/api/v1/auth/refresh", refresh)
    server = TestServer(app)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


async def test_only_tokens_that_are_old_are_renewed(desk: str) -> None:
    now_s = time.perf_counter()
    old, young = Player(1, "a", "old-1", now_s - 700), Player(2, "b", "old-2", now_s - 500)
    first, second = await renewed(desk, [old, young], older_than_s=600)
    assert (first.user_id, first.token, first.refresh_token) == (1, "access-1", "new-1")
    assert first.since_s >= now_s
    assert second is young
    with pytest.raises(EnlistError, match="token_reused"):
        await renewed(desk, [old], older_than_s=600)


async def test_looks_go_on_after_one_that_failed_and_end_with_the_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enough, looks = asyncio.Event(), 0

    async def condition(_http: Any, _server: Server) -> Condition:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ConnectionResetError
        if looks == 3:
            enough.set()
        return Condition(1.0, 1.0, looks, 0, 0.0, 0, 0)

    monkeypatch.setattr("benchmarks.looks.condition", condition)
    server = Server("http://127.0.0.1:1", None, None, None, {})
    before = asyncio.all_tasks()
    async with asyncio.timeout(20), looking(server, 0.001) as seen:
        await enough.wait()
    assert asyncio.all_tasks() == before
    assert seen.missed == 1
    assert [one.live for one in seen.seen][:2] == [2, 3]


async def test_a_look_that_breaks_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def condition(_http: Any, _server: Server) -> Condition:
        raise KeyError("pitboss_actors_live")

    monkeypatch.setattr("benchmarks.looks.condition", condition)
    server = Server("http://127.0.0.1:1", None, None, None, {})
    with pytest.raises(KeyError):
        async with looking(server, 0.001):
            await asyncio.sleep(0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("copied_cluster")
async def test_a_short_soak_reads_wallets_back_puts_them_away_and_renews_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "_RENEW_AFTER_S", 0.0)
    file = tmp_path / "soak.json"
    options = Options(seconds=6, every_s=2, rate=300, connections=64, wallets=128)
    report, _flatness = await bench(options, file)
    assert "The ledger is clean." in report
    written = json.loads(file.read_bytes())
    assert written["settings"]["wallets"] == 128
    *rows, summary = written["series"]
    assert len(rows) >= 2
    assert all(row["bets"] > 0 for row in rows)
    assert sum(row["hydrations"] for row in rows) > options.connections
    assert sum(row["passivations"] for row in rows) > 0
    assert [row["renewed"] for row in rows] == [options.connections] * len(rows)
    assert not summary["failed"]


@pytest.mark.slow
@pytest.mark.usefixtures("copied_cluster")
async def test_a_soak_that_breaks_leaves_the_rows_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_environment: Any) -> str:
        raise LedgerError("the audit failed")

    monkeypatch.setattr(soak, "audit", broken)
    file = tmp_path / "soak.json"
    options = Options(seconds=2, every_s=1, rate=100, connections=64, wallets=64)
    with pytest.raises(LedgerError):
        await bench(options, file)
    written = json.loads(file.read_bytes())
    assert written["series"][0]["bets"] > 0
    assert "ended early" in written["notes"][-1]
