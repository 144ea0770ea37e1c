"""A wallet's snapshot from its rows alone, for wallets whose snapshots were dropped.

Every row says what stands after it, so the newest row of each currency is enough for its balance.
What counts for limits of play is added up by the database, so that a wallet with a million rows is
read back without holding them.
"""

from typing import Final

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
_HOLDS: Final = f"""
    select seq, game, currency, stake, pair, nonce, parameters, (
        select max(before.at_ms) / {DAY_MS} from wallet_entries before
        where before.wallet_id = $1 and before.seq <= opened.seq
    ) as day, (
        select coalesce(array_agg((reveal.outcome ->> 'tile')::int order by reveal.seq), '{{}}')
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
"""  # noqa: S608 - the number is ours

_NEWEST_DAY: Final = f"""
    select max(at_ms) / {DAY_MS} from wallet_entries where wallet_id = $1 and seq <= $2
"""  # noqa: S608 - the number is ours

# What counts since the first day that matters, by the day it counts on: the newest that the wallet
# had seen. A stake that was released is taken off the day on which it was held.
_COUNTED: Final = f"""
    with own as (
        select seq, currency, kind, stake, payout, available_delta, hold,
            max(at_ms) over (order by seq) / {DAY_MS} as day
        from wallet_entries
        where wallet_id = $1 and seq <= $2 and seq >= (
            select min(seq) from wallet_entries
            where wallet_id = $1 and at_ms >= $3::bigint * {DAY_MS}
        )
    ), counted as (
        select own.currency,
            case own.kind when 'release' then opened.day else own.day end as day,
            case when own.kind in ('bet', 'hold') then own.stake
                when own.kind = 'release' then -own.stake end as staked,
            case when own.kind in ('bet', 'settle') then own.stake - own.payout end as lost,
            case own.kind when 'deposit' then own.available_delta end as deposited
        from own left join own opened on own.kind = 'release' and opened.seq = own.hold
    )
    select currency, day, coalesce(sum(staked), 0) as staked, coalesce(sum(lost), 0) as lost,
        coalesce(sum(deposited), 0) as deposited
    from counted where day is not null group by currency, day
"""  # noqa: S608 - the number is ours

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
    if any(balance.held for balance in state.balances.values()):
        for row in await connection.fetch(_HOLDS, wallet_id, state.seq):
            state.holds[row["seq"]] = _hold(row)
    rows = await connection.fetch(_RECENT, wallet_id, state.seq, MAX_RECENT_REQUESTS)
    state.recent = {row["request_id"].int: None for row in reversed(rows)}
    pair = await connection.fetchrow(_PAIR, wallet_id)
    if pair is not None:
        state.pair_number, state.nonce = pair["number"], pair["nonce"]
    await _count(connection, state)
    for row in await connection.fetch(_RESTRICTIONS, wallet_id):
        apply(state, restriction_of(row))
    return state.seq, snapshot(state)


async def _count(connection: asyncpg.Connection, state: WalletState) -> None:
    """Add up what counts in the periods that run."""
    today = await connection.fetchval(_NEWEST_DAY, state.wallet_id, state.seq)
    if today is None:
        return
    state.day_ends_ms = (today + 1) * DAY_MS
    since = first_counted_day(today)
    for row in await connection.fetch(_COUNTED, state.wallet_id, state.seq, since):
        totals = Totals(int(row["staked"]), int(row["lost"]), int(row["deposited"]))
        state.balances[row["currency"]].usage.add(totals, row["day"], today)


def _hold(row: asyncpg.Record) -> Hold:
    return Hold(
        row["game"],
        row["currency"],
        row["stake"],
        row["pair"],
        row["nonce"],
        row["parameters"],
        list(row["revealed"]),
        row["day"],
    )
