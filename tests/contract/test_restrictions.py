"""What counts for limits is read back as it was live: folded, from any snapshot, or rebuilt."""

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from actors.decision import Known
from actors.wallet.commands import Adjust, ReleaseHold, SendTip, SettleHold
from actors.wallet.facts import Entry, RestrictionSet
from actors.wallet.state import WalletState
from protocol.commands.limits import CoolOff, Exclude, LimitKind, Period, SetLimit
from protocol.commands.mines import StartMines
from protocol.errors import Failure
from storage.lane import Refused
from tests.contract.storages import Storage
from tests.contract.test_store import write
from tests.contract.test_writer import won
from tests.support.wallets import KIND, OPERATOR, Wallets, request, roll

PLAYER = 1
HOUR = 3_600_000
DAY = 24 * HOUR
# 2027-03-25, a Thursday: the week and the month end within days of each other.
BEGIN_MS = 1_805_932_800_000
STORIES = range(12)
STEPS = 60


def story(seed: int) -> Wallets:
    """A wallet that plays over days and weeks, on a clock that sometimes goes back."""
    rng, wallets = Random(seed), Wallets()
    wallets.set_clock(BEGIN_MS)
    for currency in ("PLAY", "USD"):
        wallets.fund(PLAYER, 1_000_000, currency)
    for number in range(1, STEPS):
        leap = rng.choice((0, 0, 1_000, HOUR, 7 * HOUR, DAY, -2 * HOUR, 3 * DAY))
        wallets.set_clock(wallets.now_ms + leap)
        try:
            wallets.act(PLAYER, command(rng, number, wallets.state(PLAYER)))
        except (Failure, Known):
            continue  # a limit, a break, or a game that is open already
    return wallets


def command(rng: Random, number: int, state: WalletState) -> Any:
    currency, amount = rng.choice(("PLAY", "USD")), rng.randint(10, 900)
    holds = list(state.holds)
    match rng.choice(("bet", "bet", "bet", "hold", "end", "end", "money", "tip", "limit", "break")):
        case "bet":
            return roll(number, amount, currency=currency)
        case "hold":
            return StartMines(amount, currency, 3, request(number))
        case "end" if holds:
            seq = rng.choice(holds)
            ends = (SettleHold(seq, 0, "{}"), SettleHold(seq, amount, "{}"), ReleaseHold(seq, "{}"))
            return rng.choice(ends)
        case "tip":
            return SendTip(PLAYER + 1, currency, amount, request(number))
        case "limit":
            kind, period = rng.choice(list(LimitKind)), rng.choice(list(Period))
            return SetLimit(kind, period, currency, rng.choice((2_000, 9_000, 50_000, None)))
        case "break" if number > STEPS - 5:
            return rng.choice((CoolOff(rng.randint(1, 9)), Exclude(rng.choice((180, None)))))
        case _:
            return Adjust("deposit", currency, amount, OPERATOR, request(number))


def counted(state: WalletState) -> dict[str, Any]:
    """What limits rest on."""
    return {
        "balances": state.balances,
        "days": {seq: hold.day for seq, hold in state.holds.items()},
        "restrictions": state.restrictions,
        "today": state.today,
    }


def state_of(wallet_id: int, facts: list[Any]) -> WalletState:
    """The state that these facts make."""
    state: WalletState = KIND.restore(wallet_id, None)
    for fact in facts:
        KIND.apply(state, fact)
    return state


async def read(storage: Storage, wallet_id: int) -> WalletState:
    """A wallet as the runtime reads it."""
    stored = (await storage.store().hydrate(KIND, [wallet_id]))[wallet_id]
    state: WalletState = KIND.restore(wallet_id, stored.snapshot)
    for fact in stored.facts:
        KIND.apply(state, fact)
    return state


def test_the_stories_are_about_everything() -> None:
    told = [fact for seed in STORIES for fact in story(seed).facts[PLAYER]]
    entries = [fact for fact in told if isinstance(fact, Entry)]
    restrictions = [fact for fact in told if isinstance(fact, RestrictionSet)]
    assert {fact.kind for fact in entries} >= {"bet", "hold", "settle", "release", "deposit"}
    assert {fact.kind for fact in restrictions} >= {"stake", "loss", "deposit", "exclusion"}
    assert any(fact.effective_at_ms > fact.at_ms for fact in restrictions)


async def test_a_wallet_is_read_back_from_its_rows(storage: Storage) -> None:
    stories = {100 + seed: moved(story(seed), 100 + seed) for seed in STORIES}
    await write(storage, [fact for facts in stories.values() for fact in facts])
    for wallet_id, facts in stories.items():
        live = counted(state_of(wallet_id, facts))
        assert counted(await read(storage, wallet_id)) == live


async def test_a_wallet_is_read_back_from_any_snapshot(storage: Storage) -> None:
    store = storage.store()
    facts = moved(story(3), PLAYER)
    stories = {100 + taken: moved(story(3), 100 + taken) for taken in range(1, len(facts))}
    await write(storage, [fact for facts in stories.values() for fact in facts])
    for taken, (wallet_id, facts) in enumerate(stories.items(), 1):
        then = state_of(wallet_id, facts[:taken])
        store.put_snapshot(KIND, wallet_id, then.seq, KIND.snapshot(then))
    await store.flush_snapshots()
    for wallet_id, facts in stories.items():
        live = counted(state_of(wallet_id, facts))
        assert counted(await read(storage, wallet_id)) == live


@pytest.mark.parametrize("together", [3, 20_000])
async def test_a_wallet_without_snapshots_is_rebuilt(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr("storage.rebuild.SLICE", together)
    monkeypatch.setattr("storage.rebuild.RESTRICTIONS_TOGETHER", together)
    monkeypatch.setattr("storage.wallets.MAX_FOLD", 2)
    monkeypatch.setattr("storage.rebuilder.PATIENCE_S", 60)
    await test_a_wallet_is_read_back_from_its_rows(storage)


def moved(wallets: Wallets, wallet_id: int) -> list[Any]:
    """The player's facts as those of another wallet."""
    return [replace(fact, wallet_id=wallet_id) for fact in wallets.facts[PLAYER]]


def limit(**changes: Any) -> RestrictionSet:
    made = RestrictionSet(7, 1, 0, "stake", "day", "USD", 5, 10, until_ms=None, at_ms=10)
    return replace(made, **changes)


OFFENCES = {
    "number again": limit(),
    "number zero": limit(number=0),
    "a kind that there is not": limit(number=2, kind="wager"),
    "a limit without a period": limit(number=2, period=None),
    "a limit without a currency": limit(number=2, currency=None),
    "a limit with an end": limit(number=2, until_ms=20),
    "a limit of less than nothing": limit(number=2, amount_minor=-1),
    "a limit in force before it was set": limit(number=2, effective_at_ms=9),
    "a break of an amount": limit(
        number=2, kind="exclusion", period=None, currency=None, until_ms=20
    ),
    "a break without an end": limit(
        number=2, kind="cool_off", period=None, currency=None, amount_minor=None
    ),
    "a break for a period": limit(number=2, kind="exclusion", currency=None, amount_minor=None),
}


@pytest.mark.parametrize("offence", OFFENCES.values(), ids=OFFENCES)
async def test_what_storage_refuses(storage: Storage, offence: RestrictionSet) -> None:
    writer = await won(storage.connector())
    await writer.write([limit()], [])
    with pytest.raises(Refused) as refused:
        await writer.write([limit(wallet_id=8), offence], [])
    assert refused.value.key == 7
    stored = await storage.store().hydrate(KIND, [7, 8])
    assert [list(stored[key].facts) for key in (7, 8)] == [[limit()], []]
    await writer.close()
