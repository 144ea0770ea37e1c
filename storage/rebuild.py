"""A wallet's snapshot from its rows alone, for wallets whose snapshots were dropped.

Every row says what stands after it, so the newest row of each currency is enough for its balance.
What counts for limits of play is added up by the database, so that a wallet with a million rows is
read back without holding them.
"""

from bisect import bisect_left, bisect_right
from typing import Final, NamedTuple

import asyncpg

from actors.wallet.state import Balance, Hold, WalletState, apply, snapshot
from actors.wallet.usage import DAY_MS, Totals, first_counted_day
from protocol.bounds import MAX_RECENT_REQUESTS
from storage.queries.balances import newest_entries
from storage.rows import restriction_of

_PAIR: Final = """
    select p.number, coalesce((
        select e.nonce + 1 from wallet_entries e
        where e.wallet_id = $1 and e.seq > p.after_seq and e.pair = p.number
        order by e.seq desc limit 1
    ), p.first_nonce) as nonce
    from wallet_seed_pairs p where p.wallet_id = $1 order by p.number desc limit 1
"""

# Only asked for a wallet that has something held.
_HOLDS: Final = """
    select seq, game, currency, stake, pair, nonce, parameters, (
        select coalesce(array_agg((reveal.outcome ->> 'tile')::int order by reveal.seq), '{}')
        from wallet_entries reveal
        where reveal.wallet_id = $1 and reveal.seq > opened.seq and reveal.kind = 'reveal'
            and reveal.hold = opened.seq
    ) as revealed
    from wallet_entries opened
    where wallet_id = $1 and kind = 'hold' and seq <= $2 and not exists (
        select from wallet_entries ended
        where ended.wallet_id = $1 and ended.hold = opened.seq
            and ended.kind in ('settle', 'release')
    )
    order by seq
"""

_DAYS: Final = f"""
    select at_ms / {DAY_MS} as day, min(seq) as first
    from wallet_entries where wallet_id = $1 and seq <= $2 group by 1 order by 1 desc
"""  # noqa: S608 - the number is ours

# What counts since the first of $3, by which of them it is after. A stake that was released is
# taken off the day on which it was held.
_COUNTED: Final = """
    select currency,
        width_bucket(case kind when 'release' then hold else seq end, $3::bigint[]) as day,
        coalesce(sum(case kind when 'release' then -stake else stake end)
            filter (where kind in ('bet', 'hold', 'release')), 0) as staked,
        coalesce(sum(stake - payout) filter (where kind in ('bet', 'settle')), 0) as lost,
        coalesce(sum(available_delta) filter (where kind = 'deposit'), 0) as deposited
    from wallet_entries
    where wallet_id = $1 and seq <= $2 and seq >= $3[1]
        and kind in ('bet', 'hold', 'settle', 'release', 'deposit')
    group by 1, 2
"""

_RESTRICTIONS: Final = "select * from wallet_restrictions where wallet_id = $1 order by number"

_RECENT: Final = """
    select request_id from wallet_entries where wallet_id = $1 and seq <= $2
    order by seq desc limit $3
"""


async def rebuild_snapshot(connection: asyncpg.Connection, wallet_id: int) -> tuple[int, bytes]:
    """The wallet's newest sequence number, and its snapshot there."""
    state = WalletState(wallet_id)
    for row in await newest_entries(connection, wallet_id):
        state.balances[row["currency"]] = Balance(row["available_after"], row["held_after"])
        state.seq = max(state.seq, row["seq"])
    days = await _days(connection, state)
    if any(balance.held for balance in state.balances.values()):
        for row in await connection.fetch(_HOLDS, wallet_id, state.seq):
            state.holds[row["seq"]] = _hold(row, days)
    rows = await connection.fetch(_RECENT, wallet_id, state.seq, MAX_RECENT_REQUESTS)
    state.recent = {row["request_id"].int: None for row in reversed(rows)}
    pair = await connection.fetchrow(_PAIR, wallet_id)
    if pair is not None:
        state.pair_number, state.nonce = pair["number"], pair["nonce"]
    await _count(connection, state, days)
    for row in await connection.fetch(_RESTRICTIONS, wallet_id):
        apply(state, restriction_of(row))
    return state.seq, snapshot(state)


class _Days(NamedTuple):
    """The days on which anything counts, and the first entry that counts on each, both ascending.

    An entry counts on the newest day that the wallet had seen.
    """

    numbers: list[int]
    firsts: list[int]

    def of(self, seq: int) -> int:
        """The day that an entry counts on."""
        return self.numbers[bisect_right(self.firsts, seq) - 1]


async def _days(connection: asyncpg.Connection, state: WalletState) -> _Days:
    numbers: list[int] = []
    firsts: list[int] = []
    for row in await connection.fetch(_DAYS, state.wallet_id, state.seq):
        # Else a later day was seen before this one: a clock went back.
        if not firsts or row["first"] < firsts[-1]:
            numbers.append(row["day"])
            firsts.append(row["first"])
    return _Days(numbers[::-1], firsts[::-1])


async def _count(connection: asyncpg.Connection, state: WalletState, days: _Days) -> None:
    """Add up what counts in the periods that run."""
    if not days.numbers:
        return
    today = days.numbers[-1]
    state.day_ends_ms = (today + 1) * DAY_MS
    since = bisect_left(days.numbers, first_counted_day(today))
    firsts = days.firsts[since:]
    for row in await connection.fetch(_COUNTED, state.wallet_id, state.seq, firsts):
        # Before the first of them is a stake that was held too long ago to count.
        if row["day"]:
            totals = Totals(int(row["staked"]), int(row["lost"]), int(row["deposited"]))
            day = days.numbers[since + row["day"] - 1]
            state.balances[row["currency"]].usage.add(totals, day, today)


def _hold(row: asyncpg.Record, days: _Days) -> Hold:
    return Hold(
        row["game"],
        row["currency"],
        row["stake"],
        row["pair"],
        row["nonce"],
        row["parameters"],
        list(row["revealed"]),
        days.of(row["seq"]),
    )
