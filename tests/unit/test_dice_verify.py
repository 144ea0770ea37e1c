"""The verifier says of every bet what its rule had said."""

import pytest

from actors.dice.verify import Choice, Verified, verify
from protocol.commands.dice import Direction
from protocol.commands.seed import RotateSeed
from tests.support.wallets import Wallets, roll
from tests.unit.test_fairness import SEED_A, SEED_B

OVER, UNDER = Direction.OVER, Direction.UNDER


@pytest.mark.parametrize(
    ("server_seed", "client_seed", "nonce", "expected"),
    [
        # From the first word that openssl prints, times 10001, divided by 2**32, by hand.
        (SEED_A, "my-lucky-seed", 0, 274),
        (SEED_A, "my-lucky-seed", 1, 1_609),
        (SEED_B, "~!player#1;", 4_096, 5_687),
    ],
)
def test_known_rolls(server_seed: str, client_seed: str, nonce: int, expected: int) -> None:
    assert verify(server_seed, client_seed, nonce) == Verified(expected)


@pytest.mark.parametrize(
    ("choice", "won", "payout"),
    [
        (Choice(275, UNDER, 100), True, 3_600),  # 100 * 990099 / 27500
        (Choice(274, UNDER, 100), False, 0),
        (Choice(273, OVER, 100), True, 101),  # 100 * 990099 / 972700
        (Choice(274, OVER, 100), False, 0),
        (Choice(275, UNDER), True, None),
        (Choice(274, UNDER), False, None),
    ],
)
def test_what_a_choice_came_to(choice: Choice, won: bool, payout: int | None) -> None:
    verified = verify(SEED_A, "my-lucky-seed", 0, choice)

    assert (verified.won, verified.payout_minor) == (won, payout)


@pytest.mark.parametrize("choice", [Choice(0, UNDER), Choice(10_000, OVER), Choice(10_001, UNDER)])
def test_a_target_that_no_bet_can_have(choice: Choice) -> None:
    with pytest.raises(ValueError, match="target"):
        verify(SEED_A, "my-lucky-seed", 0, choice)


def test_played_bets_are_verified_with_the_revealed_seed() -> None:
    wallets = Wallets()
    wallets.fund(1, 1_000_000)
    choices = [(1, UNDER), (9_999, OVER), (5_050, OVER), (2_000, UNDER), (0, OVER)] * 20
    bets = [wallets.act(1, roll(n, 100, *chosen)).reply for n, chosen in enumerate(choices)]
    revealed = wallets.act(1, RotateSeed()).reply.revealed

    for bet in bets:
        choice = Choice(bet.target, bet.direction, bet.stake)
        verified = verify(revealed.server_seed, revealed.client_seed, bet.nonce, choice)
        assert verified == Verified(bet.roll, bet.won, bet.payout)
    assert len({bet.won for bet in bets}) == 2
