"""A wallet's snapshot from its rows alone, for wallets whose snapshots were dropped.

Every row says what stands after it, so the newest row of each currency is enough for its balance.
What counts for limits of play is added up by the database. All of it is asked for in slices of the
wallet's life: a wallet with millions of rows takes longer than one with thousands, and no statement
does. Rows are immutable and the snapshot is as of the newest when it was begun, so that slices need
no transaction around them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple

import asyncpg

from actors.wallet.facts import RestrictionSet
from actors.wallet.state import Balance, Hold, WalletState, apply, restore, snapshot
from actors.wallet.usage import DAY_MS, Totals, first_counted_day
from protocol.bounds import MAX_RECENT_REQUESTS
from storage.rows import restriction_of

Lend = Callable[[], AbstractAsyncContextManager[asyncpg.pool.PoolConnectionProxy]]
"""Lends a connection for one statement."""

# Rows that a statement looks at: some ten milliseconds, a hundred where each of them is a stake.
SLICE: Final = 20_000
# Restrictions that are applied in one turn of the loop, at some microseconds each.
RESTRICTIONS_TOGETHER: Final = 200

_NEWEST: Final = """
    select coalesce(max(seq), 0) from wallet_entries where wallet_id = $1
"""
_RECENT: Final = """
    select request_id from wallet_entries where wallet_id = $1 and seq <= $2
    order by seq desc limit $3
"""
_PAIR: Final = """
    select number, first_nonce from wallet_seed_pairs where wallet_id = $1 and after_seq <= $2
    order by number desc limit 1
"""

# One pass over all of a wallet's life, which its balances take anyway: an absent currency cannot be
# told from one that was used long ago.
_LIFE: Final = f"""
    select currency, at_ms / {DAY_MS} as day, min(seq) as first, max(seq) as newest,
        max(nonce) filter (where pair = $4) as nonce
    from wallet_entries where wallet_id = $1 and seq > $2 and seq <= $3 group by 1, 2
"""  # noqa: S608 - the number is ours
_BALANCES: Final = """
    select currency, available_after, held_after from wallet_entries
    where wallet_id = $1 and seq = any($2::bigint[])
"""

# These two are only asked for a wallet that has something held. Each hold's ending is looked up by
# itself: a join might read those of all the wallet's life for every slice.
_HOLDS: Final = """
    select seq, game, currency, stake, pair, nonce, parameters from wallet_entries opened
    where wallet_id = $1 and seq > $2 and seq <= $3 and kind = 'hold' and (
        select seq from wallet_entries ended
        where ended.wallet_id = $1 and ended.hold = opened.seq and ended.seq <= $4
            and ended.kind in ('settle', 'release')
        limit 1
    ) is null
    order by seq
"""
_REVEALED: Final = """
    select hold, (outcome ->> 'tile')::int as tile from wallet_entries
    where wallet_id = $1 and seq > $2 and seq <= $3 and kind = 'reveal' and hold = any($4::bigint[])
    order by seq
"""

# What counts since the first of $4, by which of them it is after. A stake that was released is
# taken off the day on which it was held.
_COUNTED: Final = """
    select currency,
        width_bucket(case kind when 'release' then hold else seq end, $4::bigint[]) as day,
        coalesce(sum(case kind when 'release' then -stake else stake end)
            filter (where kind in ('bet', 'hold', 'release')), 0) as staked,
        coalesce(sum(stake - payout) filter (where kind in ('bet', 'settle')), 0) as lost,
        coalesce(sum(available_delta) filter (where kind = 'deposit'), 0) as deposited
    from wallet_entries
    where wallet_id = $1 and seq > $2 and seq <= $3
        and kind in ('bet', 'hold', 'settle', 'release', 'deposit')
    group by 1, 2
"""

_RESTRICTIONS: Final = """
    select * from wallet_restrictions where wallet_id = $1 and number > $2 order by number limit $3
"""


async def rebuild_snapshot(lend: Lend, wallet_id: int) -> tuple[int, bytes]:
    """The wallet's newest sequence number, and its snapshot there.

    Raises Failure `storage_unavailable`, as `lend` does.
    """
    state = WalletState(wallet_id)
    async with lend() as connection:
        state.seq = await connection.fetchval(_NEWEST, wallet_id)
        recent = await connection.fetch(_RECENT, wallet_id, state.seq, MAX_RECENT_REQUESTS)
        pair = await connection.fetchrow(_PAIR, wallet_id, state.seq)
    state.recent = {row["request_id"].int: None for row in reversed(recent)}
    if pair is not None:
        state.pair_number, state.nonce = pair["number"], pair["first_nonce"]
    days = await _live(lend, state)
    if any(balance.held for balance in state.balances.values()):
        await _hold(lend, state, days)
    await _count(lend, state, days)
    await _restrict(lend, state)
    return state.seq, snapshot(state)


def with_restrictions(
    wallet_id: int, stored: bytes | None, made: Iterable[RestrictionSet]
) -> bytes:
    """A snapshot as of the same entry, with restrictions that were made since."""
    state = restore(wallet_id, stored)
    for restriction in made:
        apply(state, restriction)
    return snapshot(state)


async def _sliced(
    lend: Lend, query: str, state: WalletState, after: int, *rest: Any
) -> AsyncIterator[asyncpg.Record]:
    """The rows that `query` has for every slice of the wallet's entries after one of them."""
    for start in range(after, state.seq, SLICE):
        end = min(start + SLICE, state.seq)
        async with lend() as connection:
            rows = await connection.fetch(query, state.wallet_id, start, end, *rest)
        for row in rows:
            yield row


class _Days(NamedTuple):
    """The days on which anything counts, and the first entry that counts on each, both ascending.

    An entry counts on the newest day that the wallet had seen.
    """

    numbers: list[int]
    firsts: list[int]

    def of(self, seq: int) -> int:
        """The day that an entry counts on."""
        return self.numbers[bisect_right(self.firsts, seq) - 1]


async def _live(lend: Lend, state: WalletState) -> _Days:
    """Go through all entries once, for the balances, the nonce and the days."""
    newest: dict[str, int] = {}
    firsts: dict[int, int] = {}
    async for row in _sliced(lend, _LIFE, state, 0, state.pair_number):
        newest[row["currency"]] = max(newest.get(row["currency"], 0), row["newest"])
        firsts.setdefault(row["day"], row["first"])
        firsts[row["day"]] = min(firsts[row["day"]], row["first"])
        if row["nonce"] is not None:
            state.nonce = max(state.nonce, row["nonce"] + 1)
    async with lend() as connection:
        for row in await connection.fetch(_BALANCES, state.wallet_id, list(newest.values())):
            state.balances[row["currency"]] = Balance(row["available_after"], row["held_after"])
    return _days(firsts)


def _days(firsts: dict[int, int]) -> _Days:
    counted: list[tuple[int, int]] = []
    for day, first in sorted(firsts.items(), reverse=True):
        # Else a later day was seen before this one: a clock went back.
        if not counted or first < counted[-1][1]:
            counted.append((day, first))
    counted.reverse()
    return _Days([day for day, _first in counted], [first for _day, first in counted])


async def _hold(lend: Lend, state: WalletState, days: _Days) -> None:
    """Find what is held, and which tiles were picked since."""
    async for row in _sliced(lend, _HOLDS, state, 0, state.seq):
        state.holds[row["seq"]] = Hold(
            row["game"],
            row["currency"],
            row["stake"],
            row["pair"],
            row["nonce"],
            row["parameters"],
            [],
            days.of(row["seq"]),
        )
    holds = list(state.holds)
    async for row in _sliced(lend, _REVEALED, state, min(holds, default=state.seq), holds):
        state.holds[row["hold"]].revealed.append(row["tile"])


async def _count(lend: Lend, state: WalletState, days: _Days) -> None:
    """Add up what counts in the periods that run."""
    if not days.numbers:
        return
    today = days.numbers[-1]
    state.day_ends_ms = (today + 1) * DAY_MS
    since = bisect_left(days.numbers, first_counted_day(today))
    firsts = days.firsts[since:]
    async for row in _sliced(lend, _COUNTED, state, firsts[0] - 1, firsts):
        # Before the first of them is a stake that was held too long ago to count.
        if row["day"]:
            totals = Totals(int(row["staked"]), int(row["lost"]), int(row["deposited"]))
            day = days.numbers[since + row["day"] - 1]
            state.balances[row["currency"]].usage.add(totals, day, today)


async def _restrict(lend: Lend, state: WalletState) -> None:
    """Apply what the player has set against too much play."""
    while True:
        number = state.restrictions.number if state.restrictions is not None else 0
        async with lend() as connection:
            rows = await connection.fetch(
                _RESTRICTIONS, state.wallet_id, number, RESTRICTIONS_TOGETHER
            )
        for row in rows:
            apply(state, restriction_of(row))
        if len(rows) < RESTRICTIONS_TOGETHER:
            return
