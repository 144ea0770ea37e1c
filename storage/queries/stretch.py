"""The stretch of a wallet's entries that one page looks at, so that no filter reads them all."""

from typing import Final, NamedTuple

import asyncpg

# Entries that a page looks at. A page may hold fewer than asked for, even none, and still say where
# the next one begins.
LOOKED_AT: Final = 2_000

_NEWEST: Final = """
    select seq from wallet_entries where wallet_id = $1 order by seq desc limit 1
"""


class Stretch(NamedTuple):
    """Entries from `oldest` up to, but without, `before`."""

    oldest: int
    before: int

    def next_before(self, newest_left_out: int | None) -> int | None:
        """Where the next page begins, None after the last.

        `newest_left_out` is where it begins if this page left some of the stretch out.
        """
        if newest_left_out is not None:
            return newest_left_out
        return self.oldest if self.oldest > 1 else None


async def find_stretch(
    connection: asyncpg.pool.PoolConnectionProxy, wallet_id: int, before: int | None
) -> Stretch:
    """What the page that ends before `before` looks at; None is the newest page."""
    newest = await connection.fetchval(_NEWEST, wallet_id) or 0
    end = newest + 1 if before is None else min(before, newest + 1)
    # Sequence numbers have no gaps, so they count entries.
    return Stretch(max(1, end - LOOKED_AT), end)
