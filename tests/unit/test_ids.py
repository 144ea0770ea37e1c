"""Identifiers: the server's never meet a client's, nor each other."""

from itertools import product
from typing import Any
from uuid import UUID, uuid1, uuid3, uuid4, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.ids import (
    bet_id,
    is_client_made,
    message_id,
    parse_bet_id,
    settlement_id,
    table_message_id,
)

FAMILIES = (message_id, settlement_id, table_message_id)
OWNERS = st.integers(1, 2**59 - 1)
NUMBERS = st.integers(1, 2**60 - 1)
# Where bits of the wallet and of the entry meet the version, the variant and each other.
EDGES = [1, 2, 2**12 - 1, 2**12, 2**48, 2**58, 2**59 - 1]


def test_ids_of_all_families_differ_at_the_edges() -> None:
    ids = {make(owner, seq) for make, owner, seq in product(FAMILIES, EDGES, [*EDGES, 2**60 - 1])}

    assert len(ids) == len(FAMILIES) * len(EDGES) * (len(EDGES) + 1)


@given(OWNERS, NUMBERS)
def test_a_message_id_tells_its_wallet_and_entry(wallet: int, seq: int) -> None:
    """Reading both back from the bits of RFC 9562 shows that no two entries share an id."""
    made = message_id(wallet, seq)
    custom_a, custom_b = made.int >> 80, made.int >> 64 & 0xFFF

    assert custom_a << 12 | custom_b == wallet
    assert made.int & (2**62 - 1) == seq
    assert made.version == 8
    assert made.variant == "specified in RFC 4122"


@given(OWNERS, NUMBERS)
def test_no_id_of_the_server_is_a_clients(owner: int, seq: int) -> None:
    for make in FAMILIES:
        assert not is_client_made(make(owner, seq))
        assert make(owner, seq).version == 8


@pytest.mark.parametrize(
    "made",
    [
        uuid1(),
        uuid3(UUID(int=1), "x"),
        uuid4(),
        uuid5(UUID(int=1), "x"),
        UUID("018f3c7e-5a30-7b1c-9f00-000000000001"),  # version 7
        UUID(int=0),
        UUID(int=2**128 - 1),
    ],
    ids=lambda made: f"version {made.version}",
)
def test_clients_may_use_every_other_version(made: UUID) -> None:
    assert is_client_made(made)


@pytest.mark.parametrize("make", FAMILIES)
@pytest.mark.parametrize(("owner", "seq"), [(0, 1), (1, 0), (2**59, 1), (1, 2**60), (-1, 1)])
def test_an_id_out_of_range_is_a_bug(make: Any, owner: int, seq: int) -> None:
    with pytest.raises(AssertionError):
        make(owner, seq)


@given(NUMBERS, NUMBERS)
def test_a_bet_id_is_read_back(wallet: int, seq: int) -> None:
    assert parse_bet_id(bet_id(wallet, seq)) == (wallet, seq)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "1",
        "1-",
        "-1",
        "1-2-3",
        "1--2",
        "a-1",
        "1-b",
        "1.0-2",
        " 1-2",
        "1-2\n",
        "+1-2",
        "٣-1",
        "²-1",
        f"{2**63}-1",
        f"1-{2**63}",
        f"{'9' * 20}-1",
        f"{'9' * 40}-1",
    ],
)
def test_what_is_no_bet_id(text: str) -> None:
    assert parse_bet_id(text) is None
