"""Rows on their way to PostgreSQL: all that gathered in a tenth of a second, in one COPY."""

import asyncio
from typing import Any, Final

import asyncpg

COLUMNS: Final = (
    *("wallet_id", "seq", "currency", "kind"),
    *("available_delta", "held_delta", "available_after", "held_after"),
    *("request_id", "at_ms", "game", "stake", "payout", "pair", "nonce", "parameters", "outcome"),
)
_EVERY_S: Final = 0.1
# Ten seconds of bets. More means that PostgreSQL is away: then no bet is taken.
_MOST_ROWS: Final = 200_000


class WriteBehind:
    """Rows that wait, in the order of COLUMNS, and the connection that takes them."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self._writing = 0

    @property
    def full(self) -> bool:
        """Whether too many rows are not yet in the table, those being written included."""
        return len(self._rows) + self._writing >= _MOST_ROWS

    def add(self, row: tuple[Any, ...]) -> None:
        """Have a row written some time soon."""
        self._rows.append(row)

    async def run(self) -> None:
        """Write for ever. Raises what goes wrong: acknowledged bets would be missing silently."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits. Raises what goes wrong."""
        if self._rows:
            rows, self._rows = self._rows, []
            self._writing = len(rows)
            await self._connection.copy_records_to_table(
                "wallet_entries", columns=COLUMNS, records=rows
            )
            self._writing = 0
