"""Opening accounts and logging in: names, addresses, races, guests, closed accounts."""

import asyncio

import pytest
from argon2 import PasswordHasher

from protocol.commands.auth import Guest, Role, Session, User
from protocol.errors import (
    ACCOUNT_DISABLED,
    BAD_CREDENTIALS,
    EMAIL_TAKEN,
    GUESTS_OFF,
    MALFORMED,
    NAME_TAKEN,
    SESSION_REVOKED,
    ErrorKind,
    Failure,
)
from server.auth.tokens import ACCESS_LIFETIME_S
from tests.accounts.conftest import PASSWORD, Clock, Desk


def kinds(outcomes: list[Session | BaseException]) -> list[ErrorKind]:
    return [outcome.kind for outcome in outcomes if isinstance(outcome, Failure)]


async def test_a_registration_answers_who_one_is_and_logs_in(desk: Desk) -> None:
    session = await desk.register("Alice", "Alice@Example.com")

    user = session.user
    identity = await desk.accounts.authenticate(session.access_token)
    assert user == User(
        id=user.id, username="Alice", email="Alice@Example.com", role=Role.PLAYER, guest=False
    )
    assert session.expires_in == ACCESS_LIFETIME_S == 900
    assert (identity.user_id, identity.username, identity.role) == (user.id, "Alice", Role.PLAYER)


async def test_neither_password_nor_refresh_token_is_stored(desk: Desk) -> None:
    session = await desk.register()

    stored = await desk.pool.fetch("select u::text, t::text from users u, refresh_tokens t")
    assert len(stored) == 1
    assert "$argon2id$" in stored[0][0]
    assert PASSWORD not in stored[0][0]
    assert session.refresh_token not in stored[0][1]


@pytest.mark.parametrize("login", ["Alice", "aLICE", "Alice@example.com", "alice@EXAMPLE.com"])
async def test_one_logs_in_by_name_or_address_whatever_the_case(desk: Desk, login: str) -> None:
    registered = await desk.register()

    session = await desk.login(login)

    assert session.user == registered.user
    assert desk.session_id(session) != desk.session_id(registered)


@pytest.mark.parametrize(
    ("login", "password"),
    [("Alice", "wrong horse"), ("Alicia", PASSWORD), ("a@b.c", PASSWORD), ("Alice' or 1=1", "x")],
)
async def test_a_wrong_name_and_a_wrong_password_are_one_error(
    desk: Desk, login: str, password: str
) -> None:
    await desk.register()

    with pytest.raises(Failure) as caught:
        await desk.login(login, password)

    assert caught.value.kind is BAD_CREDENTIALS
    assert caught.value.details == {}


@pytest.mark.parametrize(
    ("username", "email", "kind"),
    [
        ("ALICE", "other@example.com", NAME_TAKEN),
        ("Other", "ALICE@example.com", EMAIL_TAKEN),
    ],
)
async def test_names_and_addresses_are_unique_whatever_the_case(
    desk: Desk, username: str, email: str, kind: ErrorKind
) -> None:
    await desk.register("Alice", "alice@example.com")

    with pytest.raises(Failure) as caught:
        await desk.register(username, email)

    assert caught.value.kind is kind
    assert await desk.value("select count(*) from users") == 1
    assert await desk.value("select count(*) from sessions") == 1


async def test_of_many_who_want_one_name_at_once_one_gets_it(desk: Desk) -> None:
    outcomes = await asyncio.gather(
        *(desk.register("Alice", f"alice{n}@example.com") for n in range(8)),
        return_exceptions=True,
    )

    assert kinds(outcomes) == [NAME_TAKEN] * 7
    assert await desk.value("select count(*) from users") == 1


async def test_of_many_who_want_one_address_at_once_one_gets_it(desk: Desk) -> None:
    outcomes = await asyncio.gather(
        *(desk.register(f"Alice{n}", "alice@example.com") for n in range(8)),
        return_exceptions=True,
    )

    assert kinds(outcomes) == [EMAIL_TAKEN] * 7
    assert await desk.value("select count(*) from users") == 1


async def test_a_guest_plays_without_name_or_password(desk: Desk) -> None:
    first, second = [await desk.accounts.guest(Guest()) for _ in range(2)]

    assert first.user.guest
    assert first.user.email is None
    assert first.user.username.startswith("guest_")
    assert first.user.username != second.user.username
    assert (await desk.accounts.authenticate(first.access_token)).user_id == first.user.id
    with pytest.raises(Failure) as caught:
        await desk.login(first.user.username, "")
    assert caught.value.kind is BAD_CREDENTIALS


async def test_guests_may_not_be_offered(desk: Desk) -> None:
    closed = Desk(desk.pool, desk.passwords, desk.clock, guests=False)

    with pytest.raises(Failure) as caught:
        await closed.accounts.guest(Guest())

    assert caught.value.kind is GUESTS_OFF
    assert await desk.value("select count(*) from users") == 0


async def test_a_log_in_brings_an_outdated_hash_up_to_date(desk: Desk) -> None:
    await desk.register()
    outdated = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    await desk.pool.execute("update users set password_hash = $1", outdated)

    await desk.login()

    stored = await desk.value("select password_hash from users")
    assert ",t=1," in stored
    await desk.login()
    assert await desk.value("select password_hash from users") == stored


async def test_a_closed_account_has_no_sessions_and_gets_none(desk: Desk) -> None:
    session = await desk.register()
    other = await desk.login()
    bystander = await desk.register("Bob")
    await desk.accounts.identify(session.access_token)

    await desk.accounts.disable_user(session.user)

    assert set(desk.ended) == {desk.session_id(session), desk.session_id(other)}
    for way_in in (desk.accounts.authenticate, desk.accounts.identify):
        with pytest.raises(Failure) as caught:
            await way_in(session.access_token)
        assert caught.value.kind is SESSION_REVOKED
    with pytest.raises(Failure) as caught:
        await desk.login()
    assert caught.value.kind is ACCOUNT_DISABLED
    with pytest.raises(Failure) as caught:
        await desk.login(password="wrong horse")
    assert caught.value.kind is BAD_CREDENTIALS
    assert (await desk.accounts.authenticate(bystander.access_token)).username == "Bob"


async def test_the_command_line_opens_accounts_of_any_role(desk: Desk) -> None:
    user = await desk.accounts.create_user("op@example.com", "Olga", PASSWORD, Role.OPERATOR)

    session = await desk.login("olga")

    assert session.user == user
    assert (await desk.accounts.authenticate(session.access_token)).role is Role.OPERATOR


async def test_an_account_without_a_password_is_opened_by_a_token_alone(desk: Desk) -> None:
    user = await desk.accounts.create_user(None, "demo", None, Role.PLAYER)

    token = await desk.accounts.issue_token(user, lifetime_s=3600)

    desk.clock.pass_s(3599)
    assert (await desk.accounts.authenticate(token)).username == "demo"
    with pytest.raises(Failure) as caught:
        await desk.login("demo", "")
    assert caught.value.kind is BAD_CREDENTIALS
    assert await desk.accounts.user_of("DEMO") == user
    assert await desk.accounts.user_of("nobody") is None


@pytest.mark.parametrize(
    ("email", "username", "password", "field"),
    [
        ("not an address", "Alice", PASSWORD, "email"),
        ("a@b.c\x00", "Alice", PASSWORD, "email"),
        (None, "Al", PASSWORD, "username"),
        (None, "Al ice", PASSWORD, "username"),
        (None, "Alice", "short", "password"),
    ],
)
async def test_the_command_line_is_held_to_the_catalogue(
    desk: Desk, email: str | None, username: str, password: str, field: str
) -> None:
    with pytest.raises(Failure) as caught:
        await desk.accounts.create_user(email, username, password, Role.PLAYER)

    assert caught.value.kind is MALFORMED
    assert caught.value.details["field"] == field
    assert await desk.value("select count(*) from users") == 0


async def test_users_are_found_by_name_whatever_the_case(desk: Desk) -> None:
    assert await desk.accounts.find_user("Alice") is None
    alice = (await desk.register()).user

    for spelling in ("Alice", "alice", "ALICE"):
        assert await desk.accounts.find_user(spelling) == (alice.id, "Alice")
    for impossible in ("", "Al", "Alice\x00", "\u212aelvin", "alice@example.com", "a" * 25):
        assert await desk.accounts.find_user(impossible) is None


async def test_a_name_once_found_needs_no_query(desk: Desk) -> None:
    alice = (await desk.register()).user
    await desk.accounts.find_user("Alice")
    await desk.pool.execute("update users set username = 'Renamed'")

    assert await desk.accounts.find_user("alice") == (alice.id, "Alice")


async def test_times_are_those_of_the_clock(desk: Desk) -> None:
    desk.clock = Clock(1_900_000_000_000)
    await desk.register()

    assert await desk.value("select created_at_ms from users") == 1_900_000_000_000
    assert await desk.value("select created_at_ms from sessions") == 1_900_000_000_000
