"""Fuzz the socket layer: `python -m tests.fuzz --seconds 600 --seed 1`.

Parsers, the live server and the program as a process share the time; `--only` gives all of it to
one of them. A finding prints the command that shows it again.
"""

# ruff: noqa: T201 - a command line speaks by printing

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
import sys
import time
from itertools import count

import uvloop

from tests.fuzz.case import read_case
from tests.fuzz.coverage import Coverage, summary
from tests.fuzz.explorer import Explorer, all_prey, is_named, judge
from tests.fuzz.processes import besiege_program
from tests.fuzz.references import javascript
from tests.fuzz.rounds import Tally, besiege

# How the time is shared where all three run.
_SHARES = {"parsers": 0.4, "live": 0.4, "program": 0.2}


def replay(word: str) -> int:
    """Run one case as a finding printed it."""
    name, case = read_case(word)
    with javascript() as reference:
        target = next(prey.target for prey in all_prey(reference) if prey.target.name == name)
        print(f"{name} {case!r}")
        print(f"outcome: {judge(target, case, Coverage())}")
    return 0


def explore(seed: int, seconds: float) -> int:
    """Fuzz the parsers; the number of findings."""
    with javascript() as reference:
        explorer = Explorer(seed, all_prey(reference))
        began_s = time.monotonic()
        explorer.explore(seconds)
        took_s = time.monotonic() - began_s
    for outcome, number in sorted(explorer.outcomes.items()):
        print(f"{number:9} {outcome}{'  (refused)' if is_named(outcome) else ''}")
    print("\n".join(summary(explorer.coverage)))
    print(
        f"parsers: {explorer.cases} cases, {explorer.cases / took_s:.0f} a second, corpus of "
        f"{explorer.corpus}, {len(explorer.coverage.jumps)} jumps, {len(explorer.found)} findings"
    )
    for found in explorer.found.values():
        print(f"\nFINDING {found}")
    return len(explorer.found)


def report(what: str, tally: Tally) -> int:
    """Print what rounds did; the number of findings."""
    for name, counter in {
        "script": tally.scripts, "disconnected": tally.reasons, "refused": tally.refused
    }.items():  # fmt: skip
        for key, number in sorted(counter.items()):
            print(f"{number:9} {name} {key}")
    rss = [size >> 20 for size in tally.rss_bytes]
    memory = f"RSS {rss[0]} MB first, {max(rss)} most, {rss[-1]} last" if rss else ""
    print(
        f"{what}: {tally.rounds} rounds, {tally.peers} hostile peers, {tally.connections} "
        f"connections, {tally.answers} honest answers, {memory}, {len(tally.found)} findings"
    )
    for found in tally.found:
        print(f"\nFINDING {found}")
    return len(tally.found)


def live(seed: int, seconds: float, only_round: int | None) -> int:
    """Fuzz a server in this process, on uvloop and then on asyncio's loop."""
    rounds = (lambda: range(only_round, only_round + 1)) if only_round is not None else count
    found = 0
    for name, run in {"uvloop": uvloop.run, "asyncio": asyncio.run}.items():
        tally = run(besiege(seed, seconds / 2, rounds()))
        found += report(f"live on {name}", tally)
    return found


def program(seed: int, seconds: float) -> int:
    """Fuzz the program, with picows and then without."""
    found = 0
    for name, fallback in {"program": False, "program on the fallback": True}.items():
        work = besiege_program(seed, seconds / 2, free_port(), fallback=fallback)
        found += report(name, uvloop.run(work))
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def main() -> int:
    """Read the command line and fuzz; the exit code says whether anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=_SHARES)
    parser.add_argument("--round", type=int, help="play this one round of `--only live`")
    parser.add_argument("--case", help="run one case, as a finding printed it")
    chosen = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())
    if chosen.case is not None:
        return replay(chosen.case)
    shares = _SHARES if chosen.only is None else {chosen.only: 1.0}
    found = 0
    for part, share in shares.items():
        seconds = share * chosen.seconds
        if part == "parsers":
            found += explore(chosen.seed, seconds)
        elif part == "live":
            found += live(chosen.seed, seconds, chosen.round)
        else:
            found += program(chosen.seed, seconds)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
