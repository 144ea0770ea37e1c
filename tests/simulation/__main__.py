"""Run worlds from the command line: `python -m tests.simulation --seeds 1000`."""

# ruff: noqa: T201 - a command line speaks by printing

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable

from tests.simulation.cluster import Cluster
from tests.simulation.world import Result, World, run

Kind = Callable[[int], World]


def report(result: Result) -> str:
    """What a failing seed says: the steps, the invariant, and how to see it again."""
    steps = "\n".join(result.trace)
    again = f"python -m tests.simulation {_kind_of(result)} --seed {result.seed}"
    return f"{steps}\nseed {result.seed}: {result.finding}\nagain: {again}"


def _kind_of(result: Result) -> str:
    return "--cluster" if result.is_cluster else "--alone"


def main() -> int:
    """Run one seed or many; the exit code says whether all held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, and print its last steps")
    parser.add_argument("--seeds", type=int, default=100, help="run this many of each kind")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--alone", action="store_true", help="processes that compete, no clusters")
    only.add_argument("--cluster", action="store_true", help="clusters only")
    chosen = parser.parse_args()
    # Warnings are many in bad weather: worlds count them, and errors are findings.
    logging.getLogger().addHandler(logging.NullHandler())
    kinds: list[Kind] = []
    if not chosen.cluster:
        kinds.append(World)
    if not chosen.alone:
        kinds.append(Cluster)
    if chosen.seed is not None:
        return max([_show(run(chosen.seed, kind)) for kind in kinds])
    return max([_run_many(kind, chosen.first, chosen.seeds) for kind in kinds])


def _show(result: Result) -> int:
    print(report(result) if result.finding else "\n".join(result.trace))
    print(f"digest {result.digest}")
    return 1 if result.finding else 0


def _run_many(kind: Kind, first: int, seeds: int) -> int:
    began_s = time.perf_counter()
    failed = []
    totals: Counter[str] = Counter()
    for seed in range(first, first + seeds):
        result = run(seed, kind)
        totals += result.counts
        if result.finding:
            failed.append(seed)
            print(report(result) if len(failed) == 1 else f"seed {seed}: {result.finding}")
    took_s = time.perf_counter() - began_s
    for what, count in sorted(totals.items()):
        print(f"{count:9} {what}")
    of = "of one cluster each" if kind is Cluster else "of processes alone"
    print(f"{seeds} seeds {of}, {len(failed)} failed {failed[:20]}, {took_s:.1f} s")
    return 1 if failed else 0


def _fix_hashes() -> None:
    """Begin again with fixed hashes: sets of names are gone through in an order of those.

    So a seed replays in any process.
    """
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606 - it is this program


if __name__ == "__main__":
    _fix_hashes()
    sys.exit(main())
