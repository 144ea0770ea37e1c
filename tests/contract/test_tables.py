"""Crash tables: what is read back is what was live after every row, and rows are whole or refused.

On the twin and on PostgreSQL, where the hashes that a table plays are sealed.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from actors.crash import turn
from actors.crash.chain import before
from actors.crash.commands import Wake
from actors.crash.facts import ChainsRead, RoundEntry
from actors.crash.state import MAX_PAST
from actors.runtime.alarms import Alarm
from actors.runtime.ports import Store
from storage.chains import link_place
from storage.crash_tables import CrashStore
from storage.lane import Refused
from tests.contract.storages import InMemory, InPostgres, Storage
from tests.contract.test_writer import won
from tests.support.memory import MemoryTables
from tests.support.rounds import Felt, chain

CHAINS = [chain(1, length=2), chain(2, length=40)]


@pytest_asyncio.fixture
async def tables(storage: Storage) -> AsyncIterator[Store]:
    """The store of tables; table 1 has two chains, whose rounds are to be played in order."""
    if isinstance(storage, InMemory):
        yield MemoryTables(
            storage.database, storage.weather, lambda table: CHAINS[: 2 * (table == 1)]
        )
        return
    assert isinstance(storage, InPostgres)
    for made in CHAINS:
        await storage.pool.execute(
            "insert into crash_chains (id, table_id, length, terminal_hash, public_seed,"
            " created_at_ms, fixed_at_ms) overriding system value"
            " values ($1, 1, $2, $3, $4, 0, $1)",
            made.chain_id,
            made.length,
            before(made.hash_of(1)),
            made.public_seed,
        )
        ((position, link),) = made.links.items()
        sealed = storage.vault.seal(link, link_place(made.chain_id, position))
        await storage.pool.execute(
            "insert into crash_chain_links values ($1, $2, $3)", made.chain_id, position, sealed
        )
    yield CrashStore(storage.pool, storage.vault, trials=True)


def fields(state: Any) -> dict[str, Any]:
    """A table as something that compares, but for what it made for whoever asked."""
    apart = {"round", "shown", "interrupted", "chains"}
    found = {name: getattr(state, name) for name in type(state).__slots__ if name not in apart}
    current = state.round
    if current is not None:
        found |= {f"round.{name}": getattr(current, name) for name in type(current).__slots__}
    return found


async def read(tables: Store, felt: Felt) -> Any:
    """The state that the runtime makes of what is stored."""
    stored = (await tables.hydrate(felt.kind, [1]))[1]
    state = felt.kind.restore(1, stored.snapshot)
    for fact in stored.facts:
        felt.kind.apply(state, fact)
    felt.kind.read_back(state)
    return state


def story(monkeypatch: pytest.MonkeyPatch) -> Felt:
    """Rounds with every kind of row, across the end of a chain."""
    monkeypatch.setattr(turn, "ENDED_TOGETHER", 1)
    felt = Felt(*CHAINS)
    felt.open()
    for wallet_id, auto in ((1, 101), (2, None), (3, 5_000), (4, None)):
        felt.join(wallet_id, auto=auto)
    felt.leave(4)
    felt.start()
    felt.join(5)
    felt.cash_out(2, felt.at(120))
    felt.do(Alarm(), felt.busts_ms)
    felt.do(Alarm(), felt.now_ms + 3_000)
    felt.join(1, hold=11)
    felt.join(2, hold=21)
    felt.restart()
    felt.do(Wake())
    felt.do(Alarm())
    felt.do(Alarm(), felt.now_ms + 3_000)
    assert felt.round.chain_id == 2
    felt.join(2, auto=150, hold=22)
    return felt


async def test_a_table_without_rows_is_a_new_one_with_its_chains(tables: Store) -> None:
    felt = Felt(*CHAINS)
    state = await read(tables, felt)
    assert fields(state) == fields(felt.state)
    assert [(one.chain_id, one.length, one.public_seed, one.links) for one in state.chains] == [
        (one.chain_id, one.length, one.public_seed, one.links) for one in CHAINS
    ]
    unknown = (await tables.hydrate(felt.kind, [2]))[2]
    assert next(fact for fact in unknown.facts if isinstance(fact, ChainsRead)).chains == []


async def test_a_table_is_read_back_as_it_was_after_every_row(
    tables: Store, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    felt = story(monkeypatch)
    live = Felt(*CHAINS)
    writer = await won(storage.connector())
    kinds = set()
    for row in felt.rows:
        await writer.write([row], [])
        live.kind.apply(live.state, row)
        kinds.add(row.kind)
        state = await read(tables, felt)
        assert fields(state) == fields(live.state), row
        under_way = live.state.round is not None and live.state.round.ended_at_ms is None
        assert state.interrupted is under_way
    await writer.close()
    assert kinds == {
        *("opened", "started", "crashed", "voided", "joined"),
        *("returned", "left", "cashed_out", "lost", "refunded"),
    }


async def test_a_table_remembers_so_many_rounds(tables: Store, storage: Storage) -> None:
    felt = Felt(*CHAINS)
    felt.open()
    while felt.state.rounds < MAX_PAST + 5:
        assert felt.alarm_ms is not None
        felt.do(Alarm(), felt.alarm_ms)
    writer = await won(storage.connector())
    await writer.write(felt.rows, [])
    await writer.close()
    state = await read(tables, felt)
    assert len(state.past) == MAX_PAST
    assert fields(state) == fields(felt.state)


OPENED = RoundEntry(1, 1, 1, "opened", 5, multiplier=10_000, chain_id=1, position=1, edge_percent=3)
STARTED = RoundEntry(1, 2, 1, "started", 6)
OVER = RoundEntry(
    *(1, 3, 1, "crashed", 7),
    stake_minor=0,
    multiplier=100,
    payout_minor=0,
    bets=0,
    chain_id=1,
    position=1,
    hash="ab",
)
JOINED = RoundEntry(
    *(1, 3, 1, "joined", 7), wallet_id=5, hold=1, player="ann", stake_minor=10, target=200
)
OFFENCES = {
    "a seq again": replace(STARTED, seq=1),
    "a round opened again": replace(OPENED, seq=3),
    "a number of nothing": replace(STARTED, round=0),
    "a bet of nobody": replace(JOINED, wallet_id=None),
    "a bet without a hold": replace(JOINED, hold=None),
    "a bet without a stake": replace(JOINED, stake_minor=None),
    "a bet without a name": replace(JOINED, player=None),
    "a bet without a target": replace(JOINED, target=None),
    "a start with a target": replace(STARTED, seq=3, target=200),
    "a bet that is paid at once": replace(JOINED, payout_minor=5),
    "a start with a hash": replace(STARTED, seq=3, hash="ab"),
    "an opening that shows its hash": replace(OPENED, seq=3, round=2, hash="ab"),
    "an opening without an edge": replace(OPENED, seq=3, round=2, edge_percent=None),
    "an end without its hash": replace(OVER, hash=None),
    "an end with a reason": replace(OVER, reason="restarted"),
    "a void without a reason": replace(OVER, kind="voided"),
    "a cash-out of nothing": replace(
        JOINED, kind="cashed_out", player=None, stake_minor=None, target=None
    ),
    "a return without a reason": replace(JOINED, kind="returned", player=None, target=None),
    "a loss with a multiplier": RoundEntry(
        1, 3, 1, "lost", 7, wallet_id=5, hold=1, payout_minor=0, multiplier=100
    ),
}


@pytest.mark.parametrize("offence", OFFENCES.values(), ids=OFFENCES)
async def test_a_row_that_is_not_whole_is_refused_by_its_table(
    storage: Storage, tables: Store, offence: RoundEntry
) -> None:
    writer = await won(storage.connector())
    await writer.write([OPENED, STARTED], [])
    with pytest.raises(Refused) as refused:
        await writer.write([replace(STARTED, table=2, seq=1), offence], [])
    assert (refused.value.key, refused.value.kind) == (1, "crash")
    stored = await tables.hydrate(Felt().kind, [1, 2])
    assert [len(list(stored[table].facts)) for table in (1, 2)] == [3, 1]
    await writer.close()


async def test_a_round_is_over_once(storage: Storage) -> None:
    writer = await won(storage.connector())
    await writer.write([OPENED, STARTED, OVER], [])
    with pytest.raises(Refused):
        await writer.write([replace(OVER, seq=4, kind="voided", reason="restarted")], [])
    await writer.close()
