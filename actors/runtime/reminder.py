"""When something that goes on is worth a line in the log."""

import asyncio
from typing import Final

_EVERY_S: Final = 60.0


class Reminder:
    """Due at first, and then once a minute at most, by the running loop's clock."""

    def __init__(self) -> None:
        self._due_s = float("-inf")

    def due(self) -> bool:
        """Whether to say it now; if so, it is not due again for a minute."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._due_s:
            return False
        self._due_s = now_s + _EVERY_S
        return True
