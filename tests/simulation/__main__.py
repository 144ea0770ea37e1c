"""Run worlds from the command line: `python -m tests.simulation --seeds 1000`."""

# ruff: noqa: T201 - a command line speaks by printing

import argparse
import logging
import sys
import time
from collections import Counter

from tests.simulation.world import Result, run


def report(result: Result) -> str:
    """What a failing seed says: the steps, the invariant, and how to see it again."""
    steps = "\n".join(result.trace)
    again = f"python -m tests.simulation --seed {result.seed}"
    return f"{steps}\nseed {result.seed}: {result.finding}\nagain: {again}"


def main() -> int:
    """Run one seed or many; the exit code says whether all held."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one world, and print its last steps")
    parser.add_argument("--seeds", type=int, default=100, help="run this many worlds")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    chosen = parser.parse_args()
    # Warnings are many in bad weather: worlds count them, and errors are findings.
    logging.getLogger().addHandler(logging.NullHandler())
    if chosen.seed is not None:
        result = run(chosen.seed)
        print(report(result) if result.finding else "\n".join(result.trace))
        print(f"digest {result.digest}")
        return 1 if result.finding else 0
    began_s = time.perf_counter()
    failed = []
    totals: Counter[str] = Counter()
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        result = run(seed)
        totals += result.counts
        if result.finding:
            failed.append(seed)
            print(report(result) if len(failed) == 1 else f"seed {seed}: {result.finding}")
    took_s = time.perf_counter() - began_s
    for what, count in sorted(totals.items()):
        print(f"{count:9} {what}")
    print(f"{chosen.seeds} seeds, {len(failed)} failed {failed[:20]}, {took_s:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
