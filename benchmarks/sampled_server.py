"""A whole Pitboss server that samples itself from SIGUSR1 to SIGUSR2.

Then it writes the samples by stage, as JSON, to the file that is its first argument.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.sampler import Sampler
from server.app import Pitboss
from server.cli_run import run, settings_or_exit
from server.serve import serve

START: Final = signal.SIGUSR1
STOP: Final = signal.SIGUSR2


class Sampled(Pitboss):
    """The node, with a sampler in it."""

    async def start(self) -> int:
        """Start the node, and wait for the signals."""
        self._sampler = Sampler()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(START, self._sampler.start)
        loop.add_signal_handler(STOP, self._tell)
        return await super().start()

    def _tell(self) -> None:
        self._sampler.stop()
        told = Path(sys.argv[1])
        draft = told.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(self._sampler.samples))
        draft.rename(told)


if __name__ == "__main__":
    sys.exit(run(serve(settings_or_exit(), Sampled)))
