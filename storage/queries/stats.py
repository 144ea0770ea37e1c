"""What a player has played, by game and currency, from the committed rows.

A wallet's rows up to a checkpoint are counted in tables of their own; a read adds those that came
since, and moves the checkpoint on behind it, page by page. The tables can be emptied at any time.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import asyncpg
import msgspec

from protocol.commands.floor import Game
from protocol.commands.stats import GameStats, GetPlayerStats, PlayerStats
from protocol.errors import Failure
from storage.borrow import borrow

log = logging.getLogger(__name__)

# Rows that one statement counts: some ten milliseconds of the database's time. A wallet with more
# since its checkpoint takes several, and lends its connection to others in between.
PAGE: Final = 20_000
# Rows after which a read moves the checkpoint: fewer are counted again quicker than it is written.
WORTH_KEEPING: Final = 1_000

# An instant bet counts at its row, one whose stake was held when it is settled. What was released
# was no bet.
_COUNTED: Final = """
    select game, currency, count(*) as bets, sum(stake) as staked, sum(payout) as paid,
        greatest(max(payout - stake), 0) as biggest_win,
        max(div(payout::numeric * 100, stake)) as best_multiplier
    from wallet_entries
    where wallet_id = $1 and seq > $2 and seq <= $3 and kind in ('bet', 'settle')
    group by game, currency
"""
_MARK: Final = """
    select coalesce((select upto_seq from player_stats where wallet_id = $1), 0) as upto,
        coalesce((
            select seq from wallet_entries where wallet_id = $1 order by seq desc limit 1
        ), 0) as newest
"""
_BEGIN: Final = """
    insert into player_stats (wallet_id, upto_seq) values ($1, 0) on conflict do nothing
"""
# Only who moves the checkpoint on from where it stood adds what lies between: two readers at once,
# or a reader while the tables are emptied, count nothing twice.
_ADVANCE: Final = """
    update player_stats set upto_seq = $3 where wallet_id = $1 and upto_seq = $2 returning true
"""
_ADD: Final = f"""
    insert into player_game_stats as kept (
        wallet_id, game, currency, bets, staked, paid, biggest_win, best_multiplier
    )
    select $1, page.* from ({_COUNTED}) page
    on conflict (wallet_id, game, currency) do update set
        bets = kept.bets + excluded.bets,
        staked = kept.staked + excluded.staked,
        paid = kept.paid + excluded.paid,
        biggest_win = greatest(kept.biggest_win, excluded.biggest_win),
        best_multiplier = greatest(kept.best_multiplier, excluded.best_multiplier)
"""  # noqa: S608 - only our own query is put in
_KEPT: Final = """
    select game, currency, bets, staked, paid, biggest_win, best_multiplier
    from player_game_stats where wallet_id = $1
"""


class StatsReader:
    """Reads of one player's statistics."""

    def __init__(self, pool: asyncpg.Pool, *, page: int = PAGE, keep: int = WORTH_KEEPING) -> None:
        self._pool = pool
        self._page = page
        self._keep = keep

    async def read(self, wallet_id: int, command: GetPlayerStats) -> PlayerStats:
        """The statistics as the rows stand. Raises Failure `storage_unavailable`."""
        upto, newest, parts = await self._look(wallet_id)
        while parts is None:
            await self._move(wallet_id, upto, upto + self._page)
            upto, newest, parts = await self._look(wallet_id)
        if newest - upto >= self._keep:
            await self._keep_up(wallet_id, upto, newest)
        game = None if command.game is None else command.game.value
        stats = [
            _shown(*key, total)
            for key, total in sorted(_added_up(parts).items())
            if game in (None, key[0]) and command.currency in (None, key[1])
        ]
        return PlayerStats(stats=stats, upto=newest)

    async def _look(self, wallet_id: int) -> tuple[int, int, list[asyncpg.Record] | None]:
        """The checkpoint, the newest entry, and both parts; None if that is more than a page.

        All from one moment: what another reader moves meanwhile is in one part or the other.
        """
        async with (
            borrow(self._pool) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            upto, newest = await connection.fetchrow(_MARK, wallet_id)
            if newest - upto > self._page:
                return upto, newest, None
            kept = await connection.fetch(_KEPT, wallet_id)
            return upto, newest, kept + await connection.fetch(_COUNTED, wallet_id, upto, newest)

    async def _keep_up(self, wallet_id: int, upto: int, newest: int) -> None:
        """Move the checkpoint where it saves work later. The answer does not depend on it."""
        try:
            await self._move(wallet_id, upto, newest)
        except Failure as failure:
            log.warning("statistics of wallet %d are counted again later: %s", wallet_id, failure)

    async def _move(self, wallet_id: int, upto: int, beyond: int) -> None:
        # Both tables in the order in which they are read, and emptied: nobody waits in a circle.
        async with borrow(self._pool) as connection, connection.transaction():
            await connection.execute(_BEGIN, wallet_id)
            if await connection.fetchval(_ADVANCE, wallet_id, upto, beyond):
                await connection.execute(_ADD, wallet_id, upto, beyond)


class _Total(msgspec.Struct):
    """Sums of one game and currency."""

    bets: int = 0
    staked: int = 0
    paid: int = 0
    biggest_win: int = 0
    best_multiplier: int = 0


def _added_up(parts: Iterable[asyncpg.Record]) -> dict[tuple[str, str], _Total]:
    totals: dict[tuple[str, str], _Total] = defaultdict(_Total)
    for row in parts:
        total = totals[row["game"], row["currency"]]
        total.bets += row["bets"]
        total.staked += int(row["staked"])
        total.paid += int(row["paid"])
        total.biggest_win = max(total.biggest_win, row["biggest_win"])
        total.best_multiplier = max(total.best_multiplier, int(row["best_multiplier"]))
    return totals


def _shown(game: str, currency: str, total: _Total) -> GameStats:
    return GameStats(
        game=Game(game),
        currency=currency,
        bets=total.bets,
        staked=total.staked,
        paid=total.paid,
        net=total.paid - total.staked,
        biggest_win=total.biggest_win,
        best_multiplier=total.best_multiplier,
    )
