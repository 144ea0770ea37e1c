"""A wallet's state and the one function that changes it."""

from itertools import islice
from typing import Final

import msgspec

from actors.fairness import Words
from actors.wallet.facts import Entry, SeedPair, SeedPairIssued
from protocol.bounds import MAX_RECENT_REQUESTS

# How many request ids are forgotten at a time: a dict finds its oldest key by passing over all that
# were deleted before it, which is dear for each one alone. So many are remembered beyond the bound.
FORGOTTEN_TOGETHER: Final = 128
_ID_BYTES: Final = 16


class Balance(msgspec.Struct, gc=False):
    """What a wallet has in one currency, in minor units: free to use, and held for something."""

    available: int = 0
    held: int = 0


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


class WalletState:
    """One user's wallet. `seq` numbers its newest entry, `nonce` is what the next bet takes."""

    __slots__ = (
        "_words",
        "balances",
        "nonce",
        "pair",
        "pair_number",
        "recent",
        "room",
        "seq",
        "wallet_id",
    )

    def __init__(self, wallet_id: int) -> None:
        self.wallet_id = wallet_id
        self.room = f"user:{wallet_id}"
        self.seq = 0
        self.balances: dict[str, Balance] = {}
        self.pair: SeedPair | None = None
        self._words: Words | None = None
        self.pair_number = 0
        self.nonce = 0
        # In order of arrival, so that the oldest is forgotten first; as integers, which the garbage
        # collector does not have to look at.
        self.recent: dict[int, None] = {}

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


def apply(state: WalletState, fact: Entry | SeedPairIssued) -> None:
    """Change `state` by a fact, live or read back."""
    if type(fact) is Entry:
        _apply_entry(state, fact)
    elif type(fact) is SeedPairIssued:
        _apply_pair(state, fact.pair)
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
    if entry.bet is not None:
        state.nonce = entry.bet.nonce + 1
    recent = state.recent
    recent[entry.request_id.int] = None
    if len(recent) >= MAX_RECENT_REQUESTS + FORGOTTEN_TOGETHER:
        for oldest in list(islice(recent, FORGOTTEN_TOGETHER)):
            del recent[oldest]


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
    return msgspec.msgpack.encode(
        Snapshot(state.seq, state.balances, state.pair_number, state.nonce, recent)
    )


_DECODER = msgspec.msgpack.Decoder(Snapshot)


def restore(wallet_id: int, stored: bytes | None) -> WalletState:
    """A wallet from its snapshot; None is a wallet without any entry."""
    state = WalletState(wallet_id)
    if stored is not None:
        read = _DECODER.decode(stored)
        state.seq, state.balances = read.seq, read.balances
        state.pair_number, state.nonce = read.pair_number, read.nonce
        places = range(0, len(read.recent), _ID_BYTES)
        ids = (int.from_bytes(read.recent[place : place + _ID_BYTES]) for place in places)
        state.recent = dict.fromkeys(ids)
    return state


def version(state: WalletState) -> int:
    """The number of the newest entry."""
    return state.seq
