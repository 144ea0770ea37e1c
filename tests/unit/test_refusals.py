"""A wallet that remembers all its request ids is refused at once: no row is looked for first."""

from typing import Any

import pytest

from actors.wallet.commands import StartRain
from protocol.errors import (
    GAME_OPEN,
    NO_OPEN_GAME,
    NOBODY_ACTIVE,
    NOTHING_PICKED,
    TILE_REVEALED,
    ErrorKind,
    Failure,
)
from tests.support.wallets import Wallets, cash_out, pick, request, start

ALICE = 1
RAIN = StartRain((), "crash:1", 5, "alice", "PLAY", 100, request(9))


def in_a_game(*picked: int) -> Wallets:
    """A wallet with an open game, in which these tiles were picked."""
    wallets = Wallets()
    wallets.fund(ALICE, 1_000)
    wallets.act(ALICE, start(1, 100))
    # What is picked, and what is refused, is no matter of where the mines lie.
    (hold,) = wallets.state(ALICE).holds.values()
    hold.revealed.extend(picked)
    return wallets


REFUSED: list[tuple[Wallets, Any, ErrorKind]] = [
    (Wallets(), pick(2, 0), NO_OPEN_GAME),
    (Wallets(), cash_out(2), NO_OPEN_GAME),
    (Wallets(), RAIN, NOBODY_ACTIVE),
    (in_a_game(), start(2, 100), GAME_OPEN),
    (in_a_game(), cash_out(2), NOTHING_PICKED),
    (in_a_game(7), pick(2, 7), TILE_REVEALED),
]


@pytest.mark.parametrize(("wallets", "command", "kind"), REFUSED)
def test_what_is_refused_at_once(wallets: Wallets, command: Any, kind: ErrorKind) -> None:
    # Known, with which the runtime looks for a row, would go through.
    with pytest.raises(Failure) as refused:
        wallets.decide(ALICE, command)
    assert refused.value.kind is kind
