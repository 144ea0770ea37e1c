"""How soon after a kill the server takes bets again, and what it still owes its players then.

A ledger is filled with bets. Then players bet over WebSockets without a pause, and the server is
killed (SIGKILL), alone or with every process of its PostgreSQL, and started again at once, as a
supervisor would. The clients connect again by themselves and ask again, with the same request ids,
for what was not answered. At the end the ledger is held against every promise, and audited.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from benchmarks import machine, results
from benchmarks.ledger import LedgerError, audit
from benchmarks.measurement import MeasurementError, measure
from benchmarks.own_postgres import own_postgres
from benchmarks.plan import Plan
from benchmarks.players import BET, EnlistError, Player, enlist
from benchmarks.retrying import Retrying
from benchmarks.server_process import ServerError
from benchmarks.spread import spread
from benchmarks.supervised import Supervised, supervised
from benchmarks.usage import Meter
from benchmarks.verdict import Verdict, judge
from benchmarks.worker import WorkerError

SERVER: Final = "server"
BOTH: Final = "server and PostgreSQL"

_CONNECTIONS: Final = 64
_DEPTH: Final = 2
# Who fills the ledger, a hundred bets a message: so few that all their bets fit into the journal's
# queues, and so many that the faucet's gift lasts.
_FILLERS: Final = 64
_BETS_PER_MESSAGE: Final = 100
_FILL_WINDOW_S: Final = 4.0
# Before a kill, after everybody is back; the throughput is that of its last part.
_STEADY_S: Final = 3.0
_BEFORE_S: Final = 2.0
_BACK_LIMIT_S: Final = 120.0
_LOOK_S: Final = 0.005
# Throughput is counted in parts of this length.
_PART_S: Final = 0.2
_BACK_SHARE: Final = 0.9

# What is measured of a kill, in seconds from it.
_MOMENTS: Final = ("port_open", "ready", "first_bet", "all_back", "throughput_back")


class RecoveryError(Exception):
    """The server did not come back, or a promise was broken."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: seconds from it until this or that. Rates are in bets a second."""

    victim: str
    rate_before: float
    port_open: float
    ready: float
    first_bet: float
    all_back: float
    throughput_back: float


class Watch:
    """Sees every new acknowledgement, from one kill to the next."""

    def __init__(self) -> None:
        self.killed_at_s = 0.0
        self.back_at_s: dict[Retrying, float] = {}
        self._parts: Counter[int] = Counter()

    def acknowledged(self, player: Retrying) -> None:
        """A bet was acknowledged just now."""
        now_s = time.perf_counter()
        # What a killed server had sent may still come in on the old connection: nobody is back.
        if player.joined_at_s > self.killed_at_s:
            self.count(now_s)
            self.back_at_s.setdefault(player, now_s)

    def count(self, at_s: float) -> None:
        """A bet was acknowledged at a moment."""
        self._parts[int(at_s / _PART_S)] += 1

    def rate(self) -> float:
        """Bets a second, of late."""
        parts = round(_BEFORE_S / _PART_S)
        newest = int(time.perf_counter() / _PART_S)
        return sum(self._parts[newest - 1 - part] for part in range(parts)) / _BEFORE_S

    def killed(self) -> None:
        """The server is killed now."""
        self.killed_at_s = time.perf_counter()
        self.back_at_s.clear()
        self._parts.clear()

    def since_kill(self, at_s: float) -> float:
        """Seconds from the kill to a moment."""
        return at_s - self.killed_at_s

    def throughput_back_at_s(self, rate: float) -> float | None:
        """When bets came at a share of `rate` again, if they do."""
        wanted = rate * _BACK_SHARE * _PART_S
        enough = (part for part, count in self._parts.items() if count >= wanted)
        first = min(enough, default=None)
        return None if first is None else (first + 1) * _PART_S


class Recovery:
    """A server whose players do not stop, and its kills."""

    def __init__(self, server: Supervised, players: Sequence[Player]) -> None:
        self._server = server
        self._watch = Watch()
        seen = self._watch.acknowledged
        self.players = [Retrying(server.url, player, _DEPTH, seen) for player in players]

    async def run(self, victims: Sequence[str]) -> list[Kill]:
        """Kill one after another, and wait each time until all is as before."""
        playing = [asyncio.create_task(player.play()) for player in self.players]
        try:
            kills = []
            for victim in victims:
                kills.append(await self._once(victim))
                _progress(kills[-1])
            for player in self.players:
                player.finish()
            _done, late = await asyncio.wait(playing, timeout=_BACK_LIMIT_S)
            if late:
                raise RecoveryError(f"{len(late)} players were never answered")
        finally:
            for task in playing:
                task.cancel()
        return kills

    async def _once(self, victim: str) -> Kill:
        server, watch = self._server, self._watch
        await asyncio.sleep(_STEADY_S)
        rate = watch.rate()
        watch.killed()
        server.kill(postgres=victim == BOTH)
        await server.process.wait()
        await server.start()
        port_open = watch.since_kill(await server.listening())
        ready = watch.since_kill(await server.ready())
        back_at_s = await self._as_before(rate)
        return Kill(
            victim=victim,
            rate_before=rate,
            port_open=port_open,
            ready=ready,
            first_bet=watch.since_kill(min(watch.back_at_s.values())),
            all_back=watch.since_kill(max(watch.back_at_s.values())),
            throughput_back=watch.since_kill(back_at_s),
        )

    async def _as_before(self, rate: float) -> float:
        """Wait for all players, and for their throughput; the moment is when that was back."""
        watch = self._watch
        while True:
            back_at_s = watch.throughput_back_at_s(rate)
            if back_at_s is not None and len(watch.back_at_s) == len(self.players):
                return back_at_s
            if watch.since_kill(time.perf_counter()) > _BACK_LIMIT_S:
                raise RecoveryError(
                    f"{_BACK_LIMIT_S:.0f} s after a kill {len(watch.back_at_s)} of"
                    f" {len(self.players)} players were back, and their throughput was not"
                    f" {_BACK_SHARE:.0%} of {rate:,.0f} bets/s"
                )
            await asyncio.sleep(_LOOK_S)


def _progress(kill: Kill) -> None:
    sys.stderr.write(
        f"{kill.victim:21} killed at {kill.rate_before:,.0f} bets/s: ready {kill.ready:.2f} s,"
        f" first bet {kill.first_bet:.2f} s, all back {kill.all_back:.2f} s,"
        f" throughput {kill.throughput_back:.2f} s\n"
    )


async def fill(server: Supervised, bets: int) -> int:
    """Place at least so many bets, in large messages. Returns how many there are."""
    players = await enlist(server.url, _FILLERS)
    meter = Meter(server.process.pid, server.postmaster_pid())
    filled = 0
    while filled < bets:
        plan = Plan(
            url=server.url,
            tokens=[player.token for player in players],
            bet=BET,
            bets_per_message=_BETS_PER_MESSAGE,
            depth=1,
            messages_per_second=None,
            warm_up_s=0.1,
            window_s=_FILL_WINDOW_S if bets > 200_000 else 0.5,
            seed=1,
        )
        filled += (await measure(plan, meter)).outcome.acknowledged
        sys.stderr.write(f"{filled:,} bets in the ledger\n")
    return filled


@dataclass(frozen=True, slots=True)
class Result:
    """All kills of one ledger, and what was found in it."""

    filled: int
    kills: list[Kill]
    promised: int
    resent: int
    repeated: int
    verdict: Verdict
    audit_s: float
    audit: str

    def table(self) -> str:
        """Kill by kill, and the middle of each kind."""
        head = ("killed", "bets/s before", *(f"{name.replace('_', ' ')} s" for name in _MOMENTS))
        rows = [_row(kill.victim, [kill]) for kill in self.kills]
        for victim in (SERVER, BOTH):
            some = [kill for kill in self.kills if kill.victim == victim]
            if len(some) > 1:
                rows.append(_row(f"**{victim}**, of {len(some)}", some))
        return results.table(head, rows)

    def notes(self) -> list[str]:
        """What became of the promises."""
        verdict = self.verdict
        asked = (
            f"{self.filled:,} bets were in the ledger before. {self.promised:,} were acknowledged"
            f" during the kills; {self.resent:,} were asked again as they had no answer, and"
            f" {self.repeated:,} although they had one."
        )
        found = (
            f"Lost: {len(verdict.lost)}. Unpromised: {len(verdict.unpromised)}."
            f" Changed: {len(verdict.changed)}. Refused: {len(verdict.refused)}."
        )
        return [asked, found, f"The audit took {self.audit_s:.1f} s.\n\n```\n{self.audit}\n```"]

    def figures(self) -> list[dict[str, Any]]:
        """For the file of results."""
        counts = {name: len(found) for name, found in asdict(self.verdict).items()}
        return [
            {"filled": self.filled, "promised": self.promised, "resent": self.resent, **counts},
            {"audit_s": self.audit_s},
            *(asdict(kill) for kill in self.kills),
        ]


def _row(name: str, kills: Sequence[Kill]) -> tuple[str, ...]:
    def text(figure: str, digits: int) -> str:
        return spread(getattr(kill, figure) for kill in kills).text(digits)

    return (name, text("rate_before", 0), *(text(moment, 2) for moment in _MOMENTS))


async def bench(bets: int, kills: int, file: Path | None) -> str:
    """Fill, kill, compare, write the results to `file`, and return the report.

    Raises:
        RecoveryError: A promise was broken.
    """
    victims = [(SERVER, BOTH)[number % 2] for number in range(kills)]
    async with supervised() as server:
        filled = await fill(server, bets)
        recovery = Recovery(server, await enlist(server.url, _CONNECTIONS))
        done = await recovery.run(victims)
        await server.stop()
        async with own_postgres(server.data_dir) as database_url:
            about = await machine.describe(database_url, server.data_dir)
            verdict = await judge(database_url, recovery.players)
            began_s = time.perf_counter()
            said = await audit(server.environment)
            audit_s = time.perf_counter() - began_s
    result = Result(
        filled=filled,
        kills=done,
        promised=sum(len(player.promised) for player in recovery.players),
        resent=sum(player.resent for player in recovery.players),
        repeated=sum(player.repeated for player in recovery.players),
        verdict=verdict,
        audit_s=audit_s,
        audit=said,
    )
    report = "\n\n".join([machine.line(about), result.table(), *result.notes()])
    settings = {"bets": bets, "kills": kills, "connections": _CONNECTIONS, "depth": _DEPTH}
    results.write(file, about, result.figures(), result.notes(), settings, report)
    if not verdict.clean:
        raise RecoveryError(f"{report}\n\nA promise was broken: {verdict}")
    return report


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="100,000 bets and two kills: under a minute.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Where the results go.")
@click.option("--bets", type=click.IntRange(1), help="Bets in the ledger beforehand.")
@click.option("--kills", type=click.IntRange(1), help="Of the server, and of both, in turns.")
def main(quick: bool, file: Path | None, bets: int | None, kills: int | None) -> None:
    """Read the command line."""
    bets = bets or (100_000 if quick else 1_000_000)
    kills = kills or (2 if quick else 6)
    file = results.place("recovery", file, quick=quick)
    try:
        print(uvloop.run(bench(bets, kills, file)))
    except (
        EnlistError,
        LedgerError,
        MeasurementError,
        RecoveryError,
        ServerError,
        WorkerError,
    ) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
