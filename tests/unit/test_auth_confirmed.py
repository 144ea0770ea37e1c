"""The memory of confirmed tokens: it ends, it is bounded, and a log-out empties it."""

from uuid import UUID, uuid4

from protocol.commands.auth import Role
from server.auth.confirmed import CONFIRMED_MS, MAX_CONFIRMED, ConfirmedTokens
from server.auth.identity import Identity

NOW_MS = 1_800_000_000_000


def identity(session_id: UUID | None = None, lasts_ms: int = 900_000) -> Identity:
    return Identity(7, "alice", Role.PLAYER, session_id or uuid4(), NOW_MS + lasts_ms)


def test_a_confirmation_holds_for_its_time() -> None:
    confirmed, alice = ConfirmedTokens(), identity()
    confirmed.add("token", alice, NOW_MS, confirmed.ticket())

    assert confirmed.find("token", NOW_MS + CONFIRMED_MS - 1) == alice
    assert confirmed.find("token", NOW_MS + CONFIRMED_MS) is None
    assert confirmed.find("other", NOW_MS) is None


def test_it_never_outlives_the_token() -> None:
    confirmed, alice = ConfirmedTokens(), identity(lasts_ms=50)
    confirmed.add("token", alice, NOW_MS, confirmed.ticket())

    assert confirmed.find("token", NOW_MS + 49) == alice
    assert confirmed.find("token", NOW_MS + 50) is None


def test_a_revoked_session_is_forgotten_and_others_are_not() -> None:
    confirmed, session_id, bob = ConfirmedTokens(), uuid4(), identity()
    for token in ("one", "two"):
        confirmed.add(token, identity(session_id), NOW_MS, confirmed.ticket())
    confirmed.add("bob", bob, NOW_MS, confirmed.ticket())
    confirmed.revoke(session_id)

    assert confirmed.find("one", NOW_MS) is None
    assert confirmed.find("two", NOW_MS) is None
    assert confirmed.find("bob", NOW_MS) == bob


def test_a_look_up_that_a_log_out_overtook_is_not_believed() -> None:
    confirmed, alice = ConfirmedTokens(), identity()
    ticket = confirmed.ticket()
    confirmed.revoke(alice.session_id)
    confirmed.add("token", alice, NOW_MS, ticket)

    assert confirmed.find("token", NOW_MS) is None


def test_when_full_the_oldest_is_forgotten() -> None:
    confirmed, alice = ConfirmedTokens(), identity()
    for n in range(MAX_CONFIRMED):
        confirmed.add(f"token {n}", alice, NOW_MS, confirmed.ticket())
    confirmed.add("token 1", alice, NOW_MS + 1, confirmed.ticket())
    for token in ("one more", "another"):
        confirmed.add(token, alice, NOW_MS + 1, confirmed.ticket())

    assert confirmed.find("token 0", NOW_MS + 1) is None
    assert confirmed.find("token 1", NOW_MS + 1) == alice
    assert confirmed.find("token 2", NOW_MS + 1) is None
    assert confirmed.find("token 3", NOW_MS + 1) == alice
    assert confirmed.find("one more", NOW_MS + 1) == alice
