"""The chain of hashes: every round's hash leads to the one before, wherever it is asked for."""

import hashlib
import random

import pytest

from actors.crash import chain as chains
from actors.crash.chain import Chain

LENGTH = 3_456


def hashes(length: int) -> list[str]:
    """All hashes by position, the terminal one first."""
    found = ["last secret"]
    for _ in range(length):
        found.append(hashlib.sha256(found[-1].encode("ascii")).hexdigest())
    return found[::-1]


HASHES = hashes(LENGTH)
LINKS = {position: HASHES[position] for position in (1_000, 2_000, 3_000, LENGTH)}


def fresh() -> Chain:
    return Chain(1, LENGTH, "public", dict(LINKS))


@pytest.mark.parametrize("order", ["up", "down", "any"])
def test_every_round_has_its_hash(order: str) -> None:
    positions = list(range(1, LENGTH + 1))
    if order == "any":
        random.Random(1).shuffle(positions)
    chain = fresh()

    wanted = positions[::-1] if order == "down" else positions
    # In any order each is some 500 hashes away.
    for position in wanted if order != "any" else wanted[:300]:
        assert chain.hash_of(position) == HASHES[position]


def test_only_the_links_are_kept() -> None:
    chain = fresh()
    assert chain.hash_of(1) == HASHES[1]

    assert chain.links == LINKS
    assert chains.before(chain.hash_of(1)) == HASHES[chains.TERMINAL]


def test_consecutive_rounds_hash_once_for_each_link(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0

    def counting(round_hash: str) -> str:
        nonlocal counted
        counted += 1
        return hashlib.sha256(round_hash.encode()).hexdigest()

    monkeypatch.setattr(chains, "before", counting)
    chain = fresh()
    for position in range(1, LENGTH + 1):
        chain.hash_of(position)

    assert counted == LENGTH - len(LINKS)


@pytest.mark.parametrize("position", [-1, 0, LENGTH + 1])
def test_there_is_no_round_beyond_the_chain(position: int) -> None:
    with pytest.raises(AssertionError):
        fresh().hash_of(position)


@pytest.mark.parametrize(
    ("position", "below"),
    [(1, 0), (999, 0), (1_000, 0), (1_001, 1_000), (2_000, 1_000), (LENGTH, 3_000)],
)
def test_links_lie_a_thousand_apart(position: int, below: int) -> None:
    assert chains.link_below(position) == below
    assert chains.descend(HASHES[position], position - below) == HASHES[below]


@pytest.mark.parametrize("length", [1, 999, 1_000, 1_001])
def test_short_chains_are_whole(length: int) -> None:
    expected = hashes(length)
    links = {position: expected[position] for position in {min(1_000, length), length}}
    chain = Chain(1, length, "public", links)

    assert [chain.hash_of(position) for position in range(1, length + 1)] == expected[1:]


def test_a_chain_does_not_show_its_links_in_a_log() -> None:
    chain = fresh()
    chain.hash_of(5)

    assert not any(found in repr(chain) for found in HASHES)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("0" * 64, True),
        ("!~", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        ("\x00", False),
    ],
)
def test_what_a_public_seed_may_be(text: str, allowed: bool) -> None:
    assert chains.is_public_seed(text) is allowed
