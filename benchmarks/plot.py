"""Latency over offered load, as a picture that stays the same for the same figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.series import Series

_PERCENTS: Final = (50, 99, 99.9)
_WIDTH_IN: Final = 7.0
_HEIGHT_IN: Final = 4.5


def plot(file: Path, series: Sequence[Series]) -> bool:
    """Draw the open loops among these, a panel for each mode. Returns whether there are any.

    A point is the median of the repeats, its bar their extremes. One where bets were refused has a
    ring around it: latencies are of the others alone, so that they look too well there.
    """
    panels = {one.mode: [other for other in series if other.mode == one.mode] for one in series}
    curves = {
        mode: [one for one in all_ if one.offered is not None] for mode, all_ in panels.items()
    }
    drawn = {mode: curve for mode, curve in curves.items() if len(curve) > 1}
    if not drawn:
        return False
    # Ids of a picture's parts are drawn at random unless they are made of a salt; text stays text,
    # in whatever font the reader has.
    with mpl.rc_context({"svg.hashsalt": "pitboss", "svg.fonttype": "none"}):
        figure = Figure((_WIDTH_IN * len(drawn), _HEIGHT_IN), layout="constrained")
        panes = figure.subplots(1, len(drawn), squeeze=False)[0]
        for pane, (mode, curve) in zip(panes, drawn.items(), strict=True):
            _draw(pane, mode, curve)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return True


def _draw(pane: Axes, mode: str, curve: Sequence[Series]) -> None:
    # Without a bet that was settled there is no latency.
    known = [one for one in curve if one.latency().count]
    offered = [one.offered or 0.0 for one in known]
    refusing = [one for one in known if one.refused_percent().greatest > 0]
    for percent in _PERCENTS:
        spreads = [one.latency_ms(percent) for one in known]
        middles = [one.middle for one in spreads]
        below = [one.middle - one.least for one in spreads]
        above = [one.greatest - one.middle for one in spreads]
        label = f"p{percent:g}"
        pane.errorbar(offered, middles, yerr=(below, above), marker="o", capsize=3, label=label)
    if refusing:
        at = [one.offered or 0.0 for one in refusing for _ in _PERCENTS]
        ms = [one.latency_ms(percent).middle for one in refusing for percent in _PERCENTS]
        pane.plot(at, ms, "o", mfc="none", mec="black", markersize=12, label="bets refused")
    pane.set_title(mode)
    pane.set_xlabel("offered bets/s")
    pane.set_ylabel("ms from the moment a bet was due")
    pane.set_yscale("log")
    pane.set_xlim(left=0)
    pane.grid(visible=True, which="both", alpha=0.3)
    pane.legend()
