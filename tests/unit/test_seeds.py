"""Seed pairs: the commitment comes first, the nonce goes on, and rotation reveals."""

import hashlib
from typing import Any

import pytest

from actors.wallet.facts import SeedPairIssued
from protocol.commands.seed import CurrentSeed, GetSeed, RotateSeed, SetClientSeed
from tests.support.wallets import Wallets, roll

ALICE = 1


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def secret(wallets: Wallets) -> str:
    pair = wallets.state(ALICE).pair
    assert pair is not None
    return pair.server_seed


def play(wallets: Wallets, first: int, count: int) -> list[tuple[int, int]]:
    """The pair and nonce of each of `count` bets."""
    bets = [wallets.answer(ALICE, roll(first + n, 1)) for n in range(count)]
    return [(bet.pair, bet.nonce) for bet in bets]


def test_asking_issues_the_first_pair_once() -> None:
    wallets = Wallets()
    first = wallets.answer(ALICE, GetSeed())
    again = wallets.answer(ALICE, GetSeed())

    assert first == again
    assert (first.pair, first.nonce) == (1, 0)
    assert first.server_seed_hash == sha256(secret(wallets))
    assert len(first.client_seed) == 20
    assert [type(fact) for fact in wallets.facts[ALICE]] == [SeedPairIssued]


@pytest.mark.parametrize("command", [GetSeed(), SetClientSeed("lucky")], ids=["get", "set"])
def test_nothing_shown_before_a_rotation_gives_the_server_seed_away(command: Any) -> None:
    wallets = Wallets()
    shown = wallets.answer(ALICE, command)

    assert type(shown) is CurrentSeed
    assert secret(wallets) not in repr(shown)


def test_bets_count_the_nonce_up() -> None:
    wallets = Wallets()
    wallets.fund(ALICE, 1_000)

    assert play(wallets, 1, 3) == [(1, 0), (1, 1), (1, 2)]
    assert wallets.answer(ALICE, GetSeed()).nonce == 3


def test_a_rotation_reveals_the_old_seed_and_begins_at_0() -> None:
    wallets = Wallets()
    wallets.fund(ALICE, 1_000)
    committed = wallets.answer(ALICE, GetSeed())
    play(wallets, 1, 3)
    old = secret(wallets)
    rotated = wallets.answer(ALICE, RotateSeed())

    assert rotated.revealed is not None
    assert rotated.revealed.server_seed == old
    assert rotated.revealed.server_seed_hash == committed.server_seed_hash == sha256(old)
    assert rotated.revealed.client_seed == committed.client_seed
    assert rotated.revealed.next_nonce == 3
    assert (rotated.current.pair, rotated.current.nonce) == (2, 0)
    assert rotated.current.client_seed == committed.client_seed
    assert rotated.current.server_seed_hash == sha256(secret(wallets)) != sha256(old)
    assert play(wallets, 10, 2) == [(2, 0), (2, 1)]


def test_a_rotation_may_bring_a_client_seed() -> None:
    wallets = Wallets()
    wallets.answer(ALICE, GetSeed())

    assert wallets.answer(ALICE, RotateSeed("lucky")).current.client_seed == "lucky"


def test_the_first_rotation_has_nothing_to_reveal() -> None:
    rotated = Wallets().answer(ALICE, RotateSeed())

    assert rotated.revealed is None
    assert (rotated.current.pair, rotated.current.nonce) == (1, 0)


def test_a_new_client_seed_keeps_the_server_seed_and_the_nonce() -> None:
    """Beginning again at nonce 0 would draw the same number twice if the seed came back."""
    wallets = Wallets()
    wallets.fund(ALICE, 1_000)
    before = wallets.answer(ALICE, GetSeed())
    play(wallets, 1, 2)
    server_seed = secret(wallets)
    shown = wallets.answer(ALICE, SetClientSeed("lucky"))

    assert (shown.pair, shown.client_seed, shown.nonce) == (2, "lucky", 2)
    assert shown.server_seed_hash == before.server_seed_hash
    assert secret(wallets) == server_seed
    assert play(wallets, 10, 2) == [(2, 2), (2, 3)]


def test_a_pair_with_an_old_server_seed_does_not_reveal_it() -> None:
    """`server_number` counts server seeds: a higher one is what reveals, nothing else."""
    wallets = Wallets()
    numbers = []
    for command in (GetSeed(), SetClientSeed("a"), RotateSeed(), SetClientSeed("b"), RotateSeed()):
        wallets.answer(ALICE, command)
        pair = wallets.state(ALICE).pair
        assert pair is not None
        numbers.append((pair.number, pair.server_number))

    assert numbers == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]


def test_setting_the_first_client_seed_issues_a_pair_with_it() -> None:
    shown = Wallets().answer(ALICE, SetClientSeed("lucky"))

    assert (shown.pair, shown.client_seed, shown.nonce) == (1, "lucky", 0)


def test_no_two_server_seeds_are_alike() -> None:
    wallets = Wallets()
    seen = set()
    for _rotation in range(50):
        wallets.answer(ALICE, RotateSeed())
        seen.add(secret(wallets))

    assert len(seen) == 50
