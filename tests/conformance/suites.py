"""Runs the official Engine.IO and Socket.IO protocol suites, unmodified, against our server.

    git clone --depth 1 https://github.com/socketio/socket.io.git
    python -m tests.conformance.suites socket.io --times 10

Every suite runs that often on picows and on the aiohttp fallback. The counts are printed as a
table, and the exit status is 1 if any run had a failure or fewer tests than are known. The clone is
only read: the suites are copied and their packages installed (npm, Node.js 18 or later) in a
temporary folder. The suites call port 3000 of this machine, so that it must be free.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

# The suites have it in their text.
PORT: Final = 3000
INSTALL_LIMIT_S: Final = 300
# A run takes four seconds; one that hangs is a failure.
RUN_LIMIT_S: Final = 120


class Suite(NamedTuple):
    """One official suite: where its repository keeps it, and how many tests it is known to have."""

    name: str
    folder: str
    flags: tuple[str, ...]
    tests: int


SUITES: Final = (
    Suite("Socket.IO v5", "docs/socket.io-protocol/v5-test-suite", (), 32),
    Suite("Engine.IO v4", "docs/engine.io-protocol/v4-test-suite", ("--engine",), 25),
)
TRANSPORTS: Final = {"picows": (), "aiohttp": ("--fallback",)}


class Outcome(NamedTuple):
    """What one run counted, and the titles of the tests that failed."""

    passed: int
    failed: tuple[str, ...]


def installed(clone: Path, suite: Suite, into: Path) -> Path:
    """A copy of a suite with its packages."""
    copy = into / suite.folder
    shutil.copytree(clone / suite.folder, copy, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=copy,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=INSTALL_LIMIT_S,
    )
    return copy


@contextmanager
def server(flags: tuple[str, ...]) -> Iterator[None]:
    """The application that the suites expect, for the time of a run."""
    command = [sys.executable, "-m", "tests.conformance.app", "--port", str(PORT), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline().startswith("listening"):
                raise SystemExit(f"the server did not start; is port {PORT} free?")
            yield
        finally:
            process.terminate()


def run(copy: Path) -> Outcome:
    """Run a suite once."""
    done = subprocess.run(
        ["node_modules/.bin/mocha", "--reporter", "json", "test-suite.js"],
        cwd=copy,
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_LIMIT_S,
    )
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        return Outcome(0, (f"no report: {done.stderr.strip()}",))
    failed = tuple(f"{test['fullTitle']}: {test['err']['message']}" for test in report["failures"])
    return Outcome(report["stats"]["passes"], failed)


def say(line: str) -> None:
    """Print a line at once: a whole run takes minutes."""
    print(line, flush=True)  # noqa: T201 - a command line speaks by printing


def show(suite: Suite, transport: str, outcomes: list[Outcome]) -> bool:
    """Print the counts of all runs of a suite on a transport. Whether they are all whole."""
    whole = [not outcome.failed and outcome.passed >= suite.tests for outcome in outcomes]
    counts = " ".join(str(outcome.passed) for outcome in outcomes)
    say(f"| {suite.name} | {suite.tests} | {transport} | {counts} | {sum(whole)}/{len(whole)} |")
    for title in sorted({title for outcome in outcomes for title in outcome.failed}):
        say(f"    failed: {title}")
    return all(whole)


def main() -> int:
    """Read the command line, run everything and say whether all is well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clone", type=Path, help="a clone of the socketio/socket.io repository")
    parser.add_argument("--times", type=int, default=10, help="runs of each suite and transport")
    arguments = parser.parse_args()
    say("| suite | tests | transport | passed in each run | whole runs |\n|---|---|---|---|---|")
    well = True
    with tempfile.TemporaryDirectory() as folder:
        for suite in SUITES:
            copy = installed(arguments.clone, suite, Path(folder))
            for transport, flags in TRANSPORTS.items():
                with server((*suite.flags, *flags)):
                    outcomes = [run(copy) for _ in range(arguments.times)]
                well &= show(suite, transport, outcomes)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
