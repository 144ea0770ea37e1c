"""Access tokens: what is let in, and with which error everything else is refused."""

import base64
import json
from typing import Any
from uuid import UUID

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.bounds import MAX_TOKEN_CHARS
from protocol.commands.auth import Role, User
from protocol.errors import TOKEN_EXPIRED, TOKEN_INVALID, UNAUTHENTICATED, ErrorKind, Failure
from server.auth.identity import Identity
from server.auth.tokens import ACCESS_LIFETIME_S, Tokens

# Long enough for HS512 too, so that only the algorithm is wrong where one is.
SECRET = "a secret of the tests, as long as the longest algorithm wants its own"
OTHER_SECRET = "another secret of the tests, also long"
NOW_S = 1_800_000_000
SESSION = UUID("5f0c1f3a-2f63-4a5e-9f0e-2b6f1f9f7c11")
ALICE = User(id=7, username="Alice", email="alice@example.com", role=Role.OPERATOR, guest=False)

_CLAIMS: dict[str, Any] = {
    "iss": "pitboss",
    "aud": "pitboss",
    "sub": "7",
    "sid": str(SESSION),
    "username": "Alice",
    "role": "operator",
    "iat": NOW_S,
    "exp": NOW_S + 900,
}


def tokens_at(now_s: float, *secrets: str) -> Tokens:
    return Tokens(secrets or (SECRET,), now_ms=lambda: int(now_s * 1000))


def refusal(token: str | None, tokens: Tokens | None = None) -> ErrorKind:
    with pytest.raises(Failure) as caught:
        (tokens or tokens_at(NOW_S)).verify(token)
    return caught.value.kind


def signed(claims: dict[str, Any], algorithm: str = "HS256") -> str:
    return jwt.encode(claims, SECRET, algorithm)


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_a_token_speaks_for_the_user_it_was_issued_to() -> None:
    token = tokens_at(NOW_S).issue(ALICE, SESSION)

    identity = tokens_at(NOW_S + 1).verify(token)

    expires_at_ms = (NOW_S + ACCESS_LIFETIME_S) * 1000
    assert identity == Identity(7, "Alice", Role.OPERATOR, SESSION, expires_at_ms)


def test_any_library_can_read_a_token() -> None:
    token = tokens_at(NOW_S).issue(ALICE, SESSION)

    claims = jwt.decode(token, SECRET, ["HS256"], audience="pitboss", options={"verify_iat": False})

    assert claims == _CLAIMS


def test_a_token_expires_on_its_second() -> None:
    token = tokens_at(NOW_S).issue(ALICE, SESSION)

    assert tokens_at(NOW_S + ACCESS_LIFETIME_S - 0.001).verify(token).user_id == 7
    assert refusal(token, tokens_at(NOW_S + ACCESS_LIFETIME_S)) is TOKEN_EXPIRED


@pytest.mark.parametrize("token", [None, ""])
def test_no_token(token: str | None) -> None:
    assert refusal(token) is UNAUTHENTICATED


def test_a_token_of_another_secret_is_invalid() -> None:
    token = tokens_at(NOW_S, OTHER_SECRET).issue(ALICE, SESSION)

    assert refusal(token) is TOKEN_INVALID


def test_a_secret_is_changed_without_logging_anybody_out() -> None:
    before = tokens_at(NOW_S, SECRET).issue(ALICE, SESSION)
    both = tokens_at(NOW_S, OTHER_SECRET, SECRET)

    assert both.verify(before).user_id == 7
    assert tokens_at(NOW_S, OTHER_SECRET).verify(both.issue(ALICE, SESSION)).user_id == 7
    assert refusal(both.issue(ALICE, SESSION), tokens_at(NOW_S, SECRET)) is TOKEN_INVALID


def test_only_the_one_algorithm_is_accepted() -> None:
    header, payload = b'{"alg":"none","typ":"JWT"}', json.dumps(_CLAIMS).encode()

    assert refusal(f"{segment(header)}.{segment(payload)}.") is TOKEN_INVALID
    assert refusal(signed(_CLAIMS, "HS384")) is TOKEN_INVALID
    assert refusal(signed(_CLAIMS, "HS512")) is TOKEN_INVALID
    assert tokens_at(NOW_S).verify(signed(_CLAIMS, "HS256")).user_id == 7


def test_clocks_may_differ_a_little_but_not_much() -> None:
    assert tokens_at(NOW_S - 30).verify(signed(_CLAIMS)).user_id == 7
    assert refusal(signed(_CLAIMS), tokens_at(NOW_S - 30.001)) is TOKEN_INVALID


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"aud": "something"},
        {"sub": "0"},
        {"sub": "seven"},
        {"sub": 7},
        {"sub": "1" * 17},
        {"sid": "not a uuid"},
        {"role": "emperor"},
        {"iat": "now"},
        {"exp": None},
        {"exp": 1e300},
        {"nbf": NOW_S + 31},
    ],
    ids=str,
)
def test_a_claim_that_is_not_ours_is_invalid(change: dict[str, Any]) -> None:
    assert refusal(signed(_CLAIMS | change)) is TOKEN_INVALID


@pytest.mark.parametrize("claim", sorted(_CLAIMS))
def test_every_claim_is_required(claim: str) -> None:
    assert refusal(signed({k: v for k, v in _CLAIMS.items() if k != claim})) is TOKEN_INVALID


@given(position=st.integers(0, 10_000), replacement=st.sampled_from("ABCabc019-_.=é"))
def test_a_changed_character_never_lets_anybody_else_in(position: int, replacement: str) -> None:
    token = tokens_at(NOW_S).issue(ALICE, SESSION)
    at = position % len(token)
    changed = token[:at] + replacement + token[at + 1 :]

    if changed != token:
        assert refusal(changed) is TOKEN_INVALID


@given(st.text(st.characters(exclude_categories=()), max_size=300))
@example("\ud800")
@example("é.é.é")
def test_no_text_makes_it_stumble(text: str) -> None:
    assert refusal(text) in {TOKEN_INVALID, UNAUTHENTICATED}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_HEADERS = st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64"]), _JSON)


@given(_HEADERS, st.sampled_from([{}, {"alg": "HS256"}]), st.binary(max_size=100), _JSON)
def test_no_header_makes_it_stumble(
    header: dict[str, Any], certain: dict[str, str], signature: bytes, payload: Any
) -> None:
    parts = (json.dumps(header | certain).encode(), json.dumps(payload).encode(), signature)

    assert refusal(".".join(map(segment, parts))) is TOKEN_INVALID


@pytest.mark.parametrize(
    "header", [b"[" * 1_700, b'{"alg":' * 250, b"1" * 1_700, b'{"alg":"HS256","crit":["x"]}']
)
def test_a_nested_or_endless_header_is_invalid(header: bytes) -> None:
    token = f"{segment(header)}.e30.e30"

    assert len(token) <= MAX_TOKEN_CHARS
    assert refusal(token) is TOKEN_INVALID


def test_a_token_beyond_the_bound_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(*_arguments: object, **_named: object) -> bytes:
        raise AssertionError("it was read")

    monkeypatch.setattr(jwt.PyJWS, "decode", unread)

    assert refusal("a" * (MAX_TOKEN_CHARS + 1)) is TOKEN_INVALID


@pytest.mark.parametrize("secrets", [[], ["short"], [SECRET, "short"], [SECRET] * 4], ids=len)
def test_bad_secrets_are_refused_at_the_start(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        Tokens(secrets, now_ms=lambda: 0)
