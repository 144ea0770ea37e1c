"""Whether a server stayed as it was in a soak: how far its figures may go, and how far they did."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from benchmarks import results
from benchmarks.trend import Trend

# How many times the first quarter's median the last quarter's may be. Memory grows for some rows by
# design, until the players know as many request ids as a wallet remembers: up to 100 KB for each
# that is live, some 15 MB of 120 for 500. A leak of a byte a bet is 70 MB in an hour at 20,000
# bets/s. Latency varies with a ledger that grows and with the disk; twice as long is felt.
RATIOS: Final = {"rss_mb": 1.25, "heap_mb": 1.25, "p99_ms": 2.0}
# Of all bets: one in a thousand is a bad second in a quarter of an hour.
REFUSED_SHARE: Final = 0.001
# More cores than this, busy with something else, may be the cause of anything.
OTHERS_CORES: Final = 0.25
# Fewer have quarters of one row, which is chance.
ROWS: Final = 8

_NOT_FLAT: Final = "**not flat**"


class Flatness(NamedTuple):
    """The trends of a soak by figure, and its share of refused bets.

    `others_cores` were busy with something else in its first or its last quarter, the busier one.
    """

    trends: Mapping[str, Trend]
    refused_share: float
    others_cores: float
    rows: int

    @property
    def crossed(self) -> list[str]:
        """The figures that went beyond their bounds."""
        crossed = [
            name
            for name, most in RATIOS.items()
            if name in self.trends and self.trends[name].ratio > most
        ]
        return [*crossed, "refused"] if self.refused_share > REFUSED_SHARE else crossed

    @property
    def failed(self) -> bool:
        """Whether bounds were crossed, and nothing but the server can be the cause."""
        return bool(self.crossed) and not self._excuse

    @property
    def _excuse(self) -> str:
        if self.rows < ROWS:
            return f"{self.rows} rows are too few to judge by ({ROWS} at least)"
        if self.others_cores > OTHERS_CORES:
            return (
                f"other work kept {self.others_cores:.2f} cores busy, more than the"
                f" {OTHERS_CORES} up to which the server alone is the cause"
            )
        return ""

    def table(self, heads: Mapping[str, str]) -> str:
        """Each figure, under its head, and its bound, as Markdown."""
        crossed = self.crossed
        rows = [
            (
                heads[name],
                f"{found.first:,.2f}",
                f"{found.last:,.2f}",
                f"{found.ratio:.2f}",
                f"{RATIOS[name]:.2f}" if name in RATIOS else "",
                f"{found.per_hour:+,.2f}",
                _NOT_FLAT if name in crossed else "",
            )
            for name, found in self.trends.items()
        ]
        share, most = f"{self.refused_share:.3%}", f"{REFUSED_SHARE:.3%}"
        mark = _NOT_FLAT if "refused" in crossed else ""
        rows.append(("refused, of all bets", "", "", share, most, "", mark))
        head = ("", "first quarter", "last quarter", "ratio", "at most", "slope an hour", "")
        return results.table(head, rows)

    def sentence(self) -> str:
        """The verdict in words."""
        if not self.crossed:
            return "Everything that has a bound stayed within it."
        named = ", ".join(self.crossed)
        if self._excuse:
            return f"Beyond its bound: {named}. That is no verdict, as {self._excuse}."
        return f"Not flat: {named}."
