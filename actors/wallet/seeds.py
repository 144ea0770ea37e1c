"""How seed pairs are issued, shown, changed and revealed."""

from actors import fairness
from actors.decision import Context, Decision
from actors.kind import Rule
from actors.wallet.facts import SeedPair, SeedPairIssued
from actors.wallet.state import WalletState
from protocol.commands.seed import (
    CurrentSeed,
    GetSeed,
    RevealedSeed,
    Rotated,
    RotateSeed,
    SetClientSeed,
)
from protocol.errors import SEED_IN_USE, Failure
from protocol.ids import bet_id

# A client seed that the player did not choose: 80 bits, short enough to read aloud.
_DEFAULT_CLIENT_SEED_CHARS = 20


def issue(state: WalletState, context: Context, client_seed: str | None = None) -> SeedPairIssued:
    """A new server seed, nonce 0, and the client seed given, kept or made."""
    current = state.pair
    kept = current.client_seed if current else context.entropy()[:_DEFAULT_CLIENT_SEED_CHARS]
    server_seed = context.entropy()
    pair = SeedPair(
        state.pair_number + 1,
        current.server_number + 1 if current else 1,
        server_seed,
        fairness.seed_hash(server_seed),
        client_seed or kept,
        0,
    )
    return SeedPairIssued(state.wallet_id, state.seq, pair, context.now_ms)


def opening(state: WalletState, context: Context) -> tuple[SeedPairIssued, ...]:
    """The pair that a wallet's first fact brings along.

    A bet needs a balance, and a balance needs an earlier fact: so the commitment to the server seed
    is always stored before the first bet that draws from it.
    """
    return () if state.pair is not None else (issue(state, context),)


def _shown(pair: SeedPair, nonce: int) -> CurrentSeed:
    return CurrentSeed(
        pair=pair.number,
        server_seed_hash=pair.server_seed_hash,
        client_seed=pair.client_seed,
        nonce=nonce,
    )


def _get(state: WalletState, _command: GetSeed, context: Context) -> Decision:
    if state.pair is not None:
        return Decision(_shown(state.pair, state.nonce))
    issued = issue(state, context)
    return Decision(_shown(issued.pair, issued.pair.first_nonce), (issued,))


def _check_unused(state: WalletState) -> None:
    """Refuse to change a pair while a game that drew from it is open: its draw would be known."""
    for seq, hold in state.holds.items():
        if hold.pair is not None:
            raise Failure(SEED_IN_USE, game=hold.game, bet_id=bet_id(state.wallet_id, seq))


def _rotate(state: WalletState, command: RotateSeed, context: Context) -> Decision:
    _check_unused(state)
    issued = issue(state, context, command.client_seed)
    revealed = None
    if state.pair is not None:
        revealed = RevealedSeed(
            server_seed=state.pair.server_seed,
            server_seed_hash=state.pair.server_seed_hash,
            client_seed=state.pair.client_seed,
            next_nonce=state.nonce,
        )
    return Decision(Rotated(revealed=revealed, current=_shown(issued.pair, 0)), (issued,))


def _set_client(state: WalletState, command: SetClientSeed, context: Context) -> Decision:
    _check_unused(state)
    current = state.pair
    if current is None:
        issued = issue(state, context, command.client_seed)
    else:
        pair = SeedPair(
            state.pair_number + 1,
            current.server_number,
            current.server_seed,
            current.server_seed_hash,
            command.client_seed,
            state.nonce,
        )
        issued = SeedPairIssued(state.wallet_id, state.seq, pair, context.now_ms)
    return Decision(_shown(issued.pair, issued.pair.first_nonce), (issued,))


RULES = {GetSeed: Rule(_get), RotateSeed: Rule(_rotate), SetClientSeed: Rule(_set_client)}
