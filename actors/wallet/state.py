"""A wallet's state and the one function that changes it."""

from itertools import islice
from typing import Final

import msgspec

from actors.fairness import Words
from actors.wallet.facts import (
    DEPOSIT,
    HOLD,
    RELEASE,
    REVEAL,
    Entry,
    RestrictionSet,
    SeedPair,
    SeedPairIssued,
    Step,
)
from actors.wallet.limits import UNRESTRICTED, Restrictions, restricted
from actors.wallet.usage import DAY_MS, Totals, Usage
from protocol.bounds import MAX_RECENT_REQUESTS

# How many request ids are forgotten at a time: a dict finds its oldest key by passing over all that
# were deleted before it, which is dear for each one alone. So many are remembered beyond the bound.
FORGOTTEN_TOGETHER: Final = 128
_ID_BYTES: Final = 16
# The second has what counts for limits of play. A wallet is not read back from an earlier one.
SNAPSHOT_FORMAT: Final = 2


class Balance(msgspec.Struct, gc=False):
    """What a wallet has in one currency, in minor units: free to use, and held for something."""

    available: int = 0
    held: int = 0
    usage: Usage = msgspec.field(default_factory=Usage)


class Hold(msgspec.Struct):
    """A stake that is held until its game is over. `revealed` are the tiles picked so far.

    `day` is the one that the stake counts on (`actors.wallet.usage`).
    """

    game: str
    currency: str
    stake_minor: int
    pair: int | None
    nonce: int | None
    parameters: str
    revealed: list[int] = []
    day: int = 0


class Tile(msgspec.Struct, frozen=True):
    """What a step of kind `reveal` has as its outcome."""

    tile: int


class Snapshot(msgspec.Struct):
    """A wallet as it is stored now and then, so that hydration reads few rows.

    Only the number of the seed pair is here: the pair itself, unrevealed, is stored sealed.
    `recent` is the newest request ids, oldest first, 16 bytes each: their rows lie far apart in a
    large ledger, and to read a thousand of them takes longer than all the rest.
    """

    seq: int
    balances: dict[str, Balance]
    pair_number: int
    nonce: int
    # Empty in snapshots of earlier versions, which a process that stood by may still find: the
    # unique index knows those ids.
    recent: bytes = b""
    holds: dict[int, Hold] = {}
    today: int = 0
    restrictions: Restrictions | None = None


class WalletState:
    """One user's wallet. `seq` numbers its newest entry, `nonce` is what the next bet takes."""

    __slots__ = (
        "_words",
        "balances",
        "day_ends_ms",
        "holds",
        "nonce",
        "pair",
        "pair_number",
        "recent",
        "restrictions",
        "room",
        "seq",
        "wallet_id",
    )

    def __init__(self, wallet_id: int) -> None:
        self.wallet_id = wallet_id
        self.room = f"user:{wallet_id}"
        self.seq = 0
        self.balances: dict[str, Balance] = {}
        # Open holds by the number of the entry that opened each. A game bounds its own.
        self.holds: dict[int, Hold] = {}
        self.pair: SeedPair | None = None
        self._words: Words | None = None
        self.pair_number = 0
        self.nonce = 0
        # In order of arrival, so that the oldest is forgotten first; as integers, which the garbage
        # collector does not have to look at.
        self.recent: dict[int, None] = {}
        # Most players set none: then a wager costs one look at this.
        self.restrictions: Restrictions | None = None
        # When the newest day ends that anything counts on.
        self.day_ends_ms = DAY_MS

    @property
    def today(self) -> int:
        """The newest day that anything counts on."""
        return self.day_ends_ms // DAY_MS - 1

    def draw_from(self, pair: SeedPair) -> None:
        """Take this seed pair for the bets to come."""
        self.pair = pair
        self._words = None

    @property
    def words(self) -> Words | None:
        """What the pair's seeds say; None without a pair.

        They are 4 kB of memory, so they are made for a wallet that bets, and kept for its next one.
        """
        if self._words is None and self.pair is not None:
            self._words = Words(self.pair.server_seed, self.pair.client_seed)
        return self._words

    def balance(self, currency: str) -> Balance:
        """The balance in `currency`, nothing where there never was any."""
        return self.balances.get(currency) or Balance()


def apply(state: WalletState, fact: Entry | SeedPairIssued | RestrictionSet) -> None:
    """Change `state` by a fact, live or read back."""
    if type(fact) is Entry:
        _apply_entry(state, fact)
    elif type(fact) is SeedPairIssued:
        _apply_pair(state, fact.pair)
    elif type(fact) is RestrictionSet:
        state.restrictions = restricted(state.restrictions or UNRESTRICTED, fact)
    else:
        raise TypeError(f"a wallet has no fact {type(fact).__name__}")


def _apply_entry(state: WalletState, entry: Entry) -> None:
    assert entry.seq == state.seq + 1, "a wallet's entries are gapless"
    state.seq = entry.seq
    balance = state.balances.get(entry.currency)
    if balance is None:
        balance = state.balances[entry.currency] = Balance()
    balance.available = entry.available_after
    balance.held = entry.held_after
    if entry.at_ms >= state.day_ends_ms:
        _begin_day(state, entry.at_ms)
    bet = entry.bet
    if bet is not None:
        state.nonce = bet.nonce + 1
        today = balance.usage.today
        today.staked += bet.stake_minor
        today.lost -= entry.available_delta
    elif entry.step is not None:
        _apply_step(state, entry, entry.step, balance.usage)
    elif entry.kind == DEPOSIT:
        balance.usage.today.deposited += entry.available_delta
    recent = state.recent
    recent[entry.request_id.int] = None
    if len(recent) >= MAX_RECENT_REQUESTS + FORGOTTEN_TOGETHER:
        for oldest in list(islice(recent, FORGOTTEN_TOGETHER)):
            del recent[oldest]


def _begin_day(state: WalletState, at_ms: int) -> None:
    last, day = state.today, at_ms // DAY_MS
    for balance in state.balances.values():
        balance.usage.begin(day, last)
    state.day_ends_ms = (day + 1) * DAY_MS


def _apply_step(state: WalletState, entry: Entry, step: Step, usage: Usage) -> None:
    if entry.kind == HOLD:
        assert step.stake_minor is not None, "a hold has a stake"
        assert step.parameters is not None, "a hold has parameters"
        usage.today.staked += step.stake_minor
        state.holds[entry.seq] = Hold(
            step.game,
            entry.currency,
            step.stake_minor,
            step.pair,
            step.nonce,
            step.parameters,
            day=state.today,
        )
        if step.nonce is not None:
            state.nonce = step.nonce + 1
        return
    assert step.hold is not None, "a later step names its hold"
    if entry.kind == REVEAL:
        assert step.outcome is not None, "a step that reveals has an outcome"
        state.holds[step.hold].revealed.append(_tile(step.outcome).tile)
    else:
        hold = state.holds.pop(step.hold)
        if entry.kind == RELEASE:
            usage.add(Totals(staked=-hold.stake_minor), hold.day, state.today)
        else:
            usage.today.lost += hold.stake_minor - entry.available_delta


def _apply_pair(state: WalletState, pair: SeedPair) -> None:
    # A snapshot has the number and the nonce but not the seeds: those follow, the same fact again.
    if pair.number != state.pair_number:
        state.pair_number = pair.number
        state.nonce = pair.first_nonce
    state.draw_from(pair)


def snapshot(state: WalletState) -> bytes:
    """The state as bytes."""
    newest = list(state.recent)[-MAX_RECENT_REQUESTS:]
    recent = b"".join([request_id.to_bytes(_ID_BYTES) for request_id in newest])
    balances = {
        code: Balance(balance.available, balance.held, balance.usage.stored())
        for code, balance in state.balances.items()
    }
    return msgspec.msgpack.encode(
        Snapshot(
            state.seq,
            balances,
            state.pair_number,
            state.nonce,
            recent,
            state.holds,
            state.today,
            state.restrictions,
        )
    )


class _Numbered(msgspec.Struct):
    """The part of `Restrictions` that counts them."""

    number: int = 0


class _Restricted(msgspec.Struct):
    """The part of a snapshot that says which restrictions it has."""

    restrictions: _Numbered | None = None


_tile = msgspec.json.Decoder(Tile).decode
_DECODER = msgspec.msgpack.Decoder(Snapshot)
_RESTRICTED = msgspec.msgpack.Decoder(_Restricted)


def newest_restriction(stored: bytes) -> int:
    """The number of the newest restriction that a snapshot has; 0 for none.

    It is 0 for what is no snapshot, too: who restores that says so.
    """
    try:
        restrictions = _RESTRICTED.decode(stored).restrictions
    except msgspec.DecodeError:
        return 0
    return restrictions.number if restrictions is not None else 0


def restore(wallet_id: int, stored: bytes | None) -> WalletState:
    """A wallet from its snapshot; None is a wallet without any entry."""
    state = WalletState(wallet_id)
    if stored is not None:
        read = _DECODER.decode(stored)
        state.seq, state.balances = read.seq, read.balances
        state.pair_number, state.nonce = read.pair_number, read.nonce
        state.holds = read.holds
        state.day_ends_ms = (read.today + 1) * DAY_MS
        state.restrictions = read.restrictions
        places = range(0, len(read.recent), _ID_BYTES)
        ids = (int.from_bytes(read.recent[place : place + _ID_BYTES]) for place in places)
        state.recent = dict.fromkeys(ids)
    return state


def version(state: WalletState) -> int:
    """The number of the newest entry."""
    return state.seq
