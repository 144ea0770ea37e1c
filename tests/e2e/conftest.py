"""A running server, as an operator would start it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pitboss_process import PitbossProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PitbossProcess]:
    """A server of this test's own, with a demo player, on a PostgreSQL of its own."""
    process = PitbossProcess(tmp_path, PITBOSS_BETS_PER_SECOND="100000")
    process.start()
    try:
        yield process
    finally:
        process.stop()
