"""The picture of latency over load."""

from pathlib import Path

from benchmarks.histogram import Histogram
from benchmarks.measurement import Measurement
from benchmarks.plan import Outcome
from benchmarks.plot import plot
from benchmarks.series import Series
from benchmarks.usage import Usage


def run(middle_ns: int, refused: int = 0) -> Measurement:
    latency = Histogram()
    latency.record(middle_ns, 980)
    latency.record(middle_ns * 10, 20)
    refusals = {"overloaded": refused} if refused else {}
    outcome = Outcome(1_000, 1_000, 1_000, refusals, latency.sparse(), latency.max, {}, 0, 0.1)
    return Measurement(1.0, outcome, Usage(1.0, 0.5, 2.0), 10, 1_000)


def curve(mode: str) -> list[Series]:
    loads = (1_000.0, 5_000.0, 20_000.0)
    return [Series(mode, load, [run(int(load) * 100), run(int(load) * 120)]) for load in loads]


def test_the_same_figures_make_the_same_picture(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("a.svg", "b.svg", "c.svg"))
    assert plot(first, [*curve("single"), *curve("batch")])
    assert plot(second, [*curve("single"), *curve("batch")])
    assert plot(other, curve("single"))
    text = first.read_text()
    assert text == second.read_text() != other.read_text()
    for words in ("single", "batch", "p50", "p99", "p99.9", "offered bets/s"):
        assert f">{words}<" in text
    assert "<dc:date>" not in text


def test_points_where_bets_were_refused_are_marked(tmp_path: Path) -> None:
    kept = curve("single")
    assert plot(tmp_path / "a.svg", kept)
    assert ">bets refused<" not in (tmp_path / "a.svg").read_text()
    refusing = Series("single", 30_000.0, [run(1_000), run(1_000, refused=1)])
    nothing = Outcome(0, 1_000, 0, {"overloaded": 1_000}, {}, 0, {}, 0, 0.1)
    all_refused = Measurement(1.0, nothing, Usage(1.0, 0.5, 2.0), 0, 0)
    assert plot(tmp_path / "b.svg", [*kept, refusing, Series("single", 40_000.0, [all_refused])])
    assert ">bets refused<" in (tmp_path / "b.svg").read_text()


def test_without_a_curve_there_is_no_picture(tmp_path: Path) -> None:
    closed, alone = Series("single", None, [run(1_000)]), curve("single")[0]
    assert not plot(tmp_path / "a.svg", [closed, alone])
    assert not (tmp_path / "a.svg").exists()
