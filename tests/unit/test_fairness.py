"""The random numbers of bets, against the published scheme written out a second time."""

import hashlib
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import fairness

# Printed by `printf '%s' CLIENT:NONCE:BLOCK | openssl dgst -sha256 -hmac SERVER_SEED`.
SEED_A = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
SEED_B = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"
OPENSSL = [
    (
        (SEED_A, "my-lucky-seed", 0, 0),
        "070454928917fd42b29324ee1ab06dd17564b8b974798a72f5af74891f8c83b2",
    ),
    (
        (SEED_A, "my-lucky-seed", 0, 1),
        "6795545770f0c729a91db6e4306f4459edeb7198a004b00a09076193ab33217f",
    ),
    (
        (SEED_A, "my-lucky-seed", 1, 0),
        "293179befcf84da6854c409d243086786f1e6f51e726572930b92e46f0f1084b",
    ),
    (
        (SEED_B, "~!player#1;", 4096, 0),
        "91983425a4ef96059c8af4768f69ce500933be7636121c5cf158d025109a15c4",
    ),
    (
        (SEED_B, "~!player#1;", 4096, 7),
        "f57aaba5c6abd81540ca76674f61290e34a98f504f4da3654e7876b9fd64a524",
    ),
]
# Printed by `printf '%s' SERVER_SEED | openssl dgst -sha256`.
OPENSSL_HASHES = [
    (SEED_A, "a8ae6e6ee929abea3afcfc5258c8ccd6f85273e0d4626d26c7279f3250f77c8e"),
    (SEED_B, "c2a0b37a262809b4bd4ff5a29f3c0823b5c09cbb4e6b0669e453aae71f10c0ea"),
]


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """RFC 2104, written out, so that only SHA-256 itself is shared with what is tested."""
    key = hashlib.sha256(key).digest() if len(key) > 64 else key
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()


def expected_words(server_seed: str, client_seed: str, nonce: int, block: int) -> list[int]:
    message = f"{client_seed}:{nonce}:{block}"
    digest = hmac_sha256(server_seed.encode("ascii"), message.encode("ascii"))
    return [
        digest[at] << 24 | digest[at + 1] << 16 | digest[at + 2] << 8 | digest[at + 3]
        for at in range(0, 32, 4)
    ]


@pytest.mark.parametrize(("drawn", "digest"), OPENSSL)
def test_blocks_are_those_of_openssl(drawn: tuple[str, str, int, int], digest: str) -> None:
    server_seed, client_seed, nonce, block = drawn
    words = fairness.words(server_seed, client_seed, nonce)
    ours = list(islice(words, block * 8, block * 8 + 8))

    assert ours == [int(digest[at : at + 8], 16) for at in range(0, 64, 8)]
    assert ours == expected_words(*drawn)


@pytest.mark.parametrize(("server_seed", "digest"), OPENSSL_HASHES)
def test_the_commitment_is_the_sha_256_that_openssl_prints(server_seed: str, digest: str) -> None:
    assert fairness.seed_hash(server_seed) == digest


@given(
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":")),
    st.integers(0, 2**40),
)
def test_words_run_through_the_blocks(server_seed: str, client_seed: str, nonce: int) -> None:
    drawn = (server_seed, client_seed, nonce)
    three_blocks = [word for block in range(3) for word in expected_words(*drawn, block)]

    assert list(islice(fairness.words(*drawn), 24)) == three_blocks
    assert fairness.first_word(*drawn) == three_blocks[0]
