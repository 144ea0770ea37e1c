"""A wallet's snapshot from its rows alone, for wallets whose snapshots were dropped.

Every row says what stands after it, so the newest row of each currency is enough: nothing is added
up, and a wallet with a million rows is read back without holding them.
"""

from typing import Final

import asyncpg

from actors.wallet.state import Balance, WalletState, snapshot
from protocol.bounds import MAX_RECENT_REQUESTS
from storage.queries.balances import newest_entries

_PAIR: Final = """
    select p.number, coalesce((
        select e.nonce + 1 from wallet_entries e
        where e.wallet_id = $1 and e.seq > p.after_seq and e.pair = p.number
        order by e.seq desc limit 1
    ), p.first_nonce) as nonce
    from wallet_seed_pairs p where p.wallet_id = $1 order by p.number desc limit 1
"""

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
    rows = await connection.fetch(_RECENT, wallet_id, state.seq, MAX_RECENT_REQUESTS)
    state.recent = {row["request_id"].int: None for row in reversed(rows)}
    pair = await connection.fetchrow(_PAIR, wallet_id)
    if pair is not None:
        state.pair_number, state.nonce = pair["number"], pair["nonce"]
    return state.seq, snapshot(state)
