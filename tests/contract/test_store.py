"""Store: what is read back is what was live, with a snapshot or without, and seeds are sealed."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from msgspec.structs import replace

from actors.runtime.hydration import NOTHING
from actors.runtime.ports import Stored
from actors.wallet.commands import SendTip, StartRain
from actors.wallet.facts import Entry, SeedPairIssued
from actors.wallet.state import WalletState
from protocol.bounds import MAX_RECENT_REQUESTS
from protocol.commands.seed import RotateSeed, SetClientSeed
from storage.vault import WrongKeyError
from tests.contract.storages import FlushedStore, InPostgres, Storage
from tests.contract.test_writer import entry, pair, won
from tests.support.wallets import KIND, Wallets, request, roll

PLAYER, FRIEND, NOBODY, STRANGER = 1, 2, 3, 4

STORY: list[Any] = [
    roll(1, 50),
    roll(2, 50, currency="USD"),
    SetClientSeed("lucky"),
    roll(3, 50),
    SendTip(FRIEND, "PLAY", 70, request(4)),
    StartRain((FRIEND, STRANGER), "feed", 5, "player", "PLAY", 31, request(7)),
    RotateSeed(),
    SetClientSeed("luckier"),
    roll(5, 50),
    roll(6, 50),
    RotateSeed("luckiest"),
]


def played() -> Wallets:
    """A history with every kind of fact that a player's wallet can have."""
    wallets = Wallets()
    wallets.fund(PLAYER, 10_000)
    wallets.fund(PLAYER, 10_000, "USD")
    for command in STORY:
        wallets.act(PLAYER, command)
    wallets.deliver_all()
    return wallets


def fields(state: WalletState) -> dict[str, Any]:
    """A state as something that compares, the remembered ids in their order."""
    # The words of a seed pair are made of the pair, which is compared.
    names = [name for name in WalletState.__slots__ if name != "_words"]
    newest = list(state.recent)[-MAX_RECENT_REQUESTS:]
    values = {name: getattr(state, name) for name in names}
    return {**values, "recent": [UUID(int=one) for one in newest]}


def folded(wallet_id: int, stored: Stored) -> dict[str, Any]:
    """The state that the runtime makes of what is stored."""
    state = KIND.restore(wallet_id, stored.snapshot)
    for fact in stored.facts:
        KIND.apply(state, fact)
    return fields(state)


def state_of(wallet_id: int, facts: list[Any]) -> WalletState:
    """The state that these facts make."""
    state: WalletState = KIND.restore(wallet_id, None)
    for fact in facts:
        KIND.apply(state, fact)
    return state


async def read(store: FlushedStore, wallet_id: int) -> dict[str, Any]:
    stored = await store.hydrate(KIND, [wallet_id])
    return folded(wallet_id, stored.get(wallet_id, NOTHING))


async def write(storage: Storage, facts: list[Any]) -> None:
    writer = await won(storage.connector())
    await writer.write(facts, [])
    await writer.close()


async def test_a_wallet_without_rows_is_a_new_one(storage: Storage) -> None:
    assert await read(storage.store(), NOBODY) == fields(WalletState(NOBODY))


async def test_wallets_are_read_back_from_their_rows_alone(storage: Storage) -> None:
    wallets = played()
    await write(storage, wallets.facts[PLAYER] + wallets.facts[FRIEND])
    stored = await storage.store().hydrate(KIND, [PLAYER, NOBODY, FRIEND])
    for wallet_id in (PLAYER, FRIEND):
        assert folded(wallet_id, stored[wallet_id]) == fields(wallets.state(wallet_id))


async def test_wallets_are_read_back_from_any_snapshot(storage: Storage) -> None:
    facts = played().facts[PLAYER]
    # One wallet for each moment at which a snapshot could have been taken.
    wallet_ids = range(101, 101 + len(facts))
    stories = {key: [replace(fact, wallet_id=key) for fact in facts] for key in wallet_ids}
    await write(storage, [fact for story in stories.values() for fact in story])
    store = storage.store()
    for facts_before, (key, story) in enumerate(stories.items(), 1):
        then = state_of(key, story[:facts_before])
        store.put_snapshot(KIND, key, KIND.version(then), KIND.snapshot(then))
    await store.flush_snapshots()
    stored = await store.hydrate(KIND, list(stories))
    for facts_before, (key, story) in enumerate(stories.items(), 1):
        then = state_of(key, story[:facts_before])
        assert (stored[key].snapshot_version, stored[key].snapshot) == (
            then.seq,
            KIND.snapshot(then),
        )
        assert len(list(stored[key].facts)) <= len(facts) - facts_before + 1
        assert folded(key, stored[key]) == fields(state_of(key, story))


@pytest.mark.parametrize("together", [2, 20_000])
async def test_a_wallet_that_has_lost_its_snapshots_is_read_back(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr("storage.rebuild.SLICE", together)
    monkeypatch.setattr("storage.wallets.MAX_FOLD", 2)
    monkeypatch.setattr("storage.rebuilder.PATIENCE_S", 60)
    wallets = played()
    await write(storage, wallets.facts[PLAYER])
    assert await read(storage.store(), PLAYER) == fields(wallets.state(PLAYER))


async def test_an_older_snapshot_does_not_replace_a_newer_one(storage: Storage) -> None:
    await write(storage, [entry(PLAYER, seq) for seq in range(1, 6)])
    states = [state_of(PLAYER, [entry(PLAYER, n) for n in range(1, seq + 1)]) for seq in range(6)]
    for seq in (4, 2):
        store = storage.store()
        store.put_snapshot(KIND, PLAYER, seq, KIND.snapshot(states[seq]))
        await store.flush_snapshots()
    stored = (await storage.store().hydrate(KIND, [PLAYER]))[PLAYER]
    assert (stored.snapshot_version, stored.snapshot) == (4, KIND.snapshot(states[4]))
    assert [fact.seq for fact in stored.facts] == [5]


async def test_a_snapshot_brings_the_newest_request_ids_before_it(storage: Storage) -> None:
    count = MAX_RECENT_REQUESTS + 5
    rows = [entry(PLAYER, seq) for seq in range(1, count + 1)]
    await write(storage, rows)
    state = state_of(PLAYER, rows[:-2])
    store = storage.store()
    store.put_snapshot(KIND, PLAYER, state.seq, KIND.snapshot(state))
    await store.flush_snapshots()
    stored = (await store.hydrate(KIND, [PLAYER]))[PLAYER]
    ids = [row.request_id for row in rows]
    # The facts bring the newest two themselves.
    assert [fact.request_id for fact in stored.facts] == ids[-2:]
    assert folded(PLAYER, stored)["recent"] == ids[-MAX_RECENT_REQUESTS:]


async def test_a_snapshot_of_an_earlier_version_is_read(storage: Storage) -> None:
    rows = [entry(PLAYER, seq) for seq in range(1, 6)]
    await write(storage, rows)
    state = state_of(PLAYER, rows[:4])
    fields_before = msgspec.msgpack.decode(KIND.snapshot(state))
    del fields_before["recent"]
    store = storage.store()
    store.put_snapshot(KIND, PLAYER, 4, msgspec.msgpack.encode(fields_before))
    await store.flush_snapshots()
    read_back = await read(store, PLAYER)
    assert read_back == fields(state_of(PLAYER, rows)) | {"recent": [rows[4].request_id]}


async def test_a_row_is_found_by_its_request_id(storage: Storage) -> None:
    wallets = played()
    await write(storage, wallets.facts[PLAYER] + wallets.facts[FRIEND])
    store = storage.store()
    for made in wallets.entries(PLAYER):
        found = await store.find(KIND, PLAYER, made.request_id)
        assert _loose(found) == _loose(made)
        assert await store.find(KIND, NOBODY, made.request_id) is None
    assert await store.find(KIND, PLAYER, UUID(int=5)) is None


def _loose(made: Entry | None) -> Any:
    """An entry whose JSON is compared as values: the database is free to write it its own way."""
    assert made is not None
    if made.rain is not None:
        return replace(made, rain=None), json.loads(made.rain)
    if made.bet is None:
        return made
    bet = made.bet
    return replace(made, bet=None), bet.nonce, json.loads(bet.parameters), json.loads(bet.outcome)


async def test_server_seeds_are_sealed_at_rest(postgres: InPostgres) -> None:
    seeds = [pair(PLAYER, 1), pair(PLAYER, 2)]
    await write(postgres, seeds)
    rows = await postgres.pool.fetch(
        "select p.*, p::text as everything from wallet_seed_pairs p order by number"
    )
    for issued, row in zip(seeds, rows, strict=True):
        seed = issued.pair.server_seed
        assert seed not in row["everything"]
        assert seed.encode().hex() not in row["everything"]
        assert seed.encode() not in row["sealed_server_seed"]
    assert len({row["sealed_server_seed"] for row in rows}) == 2


async def test_a_sealed_seed_opens_only_where_it_was_stored(postgres: InPostgres) -> None:
    await write(postgres, [pair(PLAYER, 1), pair(FRIEND, 1)])
    await postgres.pool.execute(
        "update wallet_seed_pairs set sealed_server_seed ="
        " (select sealed_server_seed from wallet_seed_pairs where wallet_id = $1)",
        PLAYER,
    )
    facts = (await postgres.store().hydrate(KIND, [PLAYER]))[PLAYER].facts
    assert [type(fact) for fact in facts] == [SeedPairIssued]
    with pytest.raises(WrongKeyError):
        await postgres.store().hydrate(KIND, [FRIEND])
