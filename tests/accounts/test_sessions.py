"""Sessions: rotation, reuse, log-out, expiry, their number, and who hears of their end."""

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

import pytest

from protocol.commands.auth import LoggedOut, Logout, Refresh, RefreshSocket, Role, Session
from protocol.errors import (
    ACCOUNT_DISABLED,
    SESSION_REVOKED,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_REUSED,
    UNAUTHENTICATED,
    ErrorKind,
    Failure,
)
from server.auth import names
from server.auth.confirmed import CONFIRMED_MS
from server.auth.service import REFRESH_LIFETIME_S
from server.auth.tokens import ACCESS_LIFETIME_S
from storage import sessions as stored_sessions
from storage.sessions import MAX_SESSIONS_PER_USER
from tests.accounts.conftest import Desk


async def failure(attempt: Awaitable[Any]) -> ErrorKind:
    with pytest.raises(Failure) as caught:
        await attempt
    return caught.value.kind


async def renew(desk: Desk, session: Session) -> Session:
    return await desk.accounts.renew(Refresh(refresh_token=session.refresh_token))


async def log_out(desk: Desk, session: Session) -> LoggedOut:
    return await desk.accounts.logout(desk.tokens.verify(session.access_token), Logout())


async def test_a_refresh_token_is_traded_for_a_new_pair_of_the_same_session(desk: Desk) -> None:
    first = await desk.register()
    desk.clock.pass_s(60)

    second = await renew(desk, first)
    third = await renew(desk, second)

    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert desk.session_id(third) == desk.session_id(first)
    assert third.user == first.user
    identity = await desk.accounts.authenticate(third.access_token)
    assert identity.expires_at_ms == desk.clock.now_ms + ACCESS_LIFETIME_S * 1000
    assert desk.ended == []


async def test_a_renewed_token_says_what_the_account_is_now(desk: Desk) -> None:
    session = await desk.register()
    await desk.pool.execute("update users set role = 'admin'")

    renewed = await renew(desk, session)

    assert renewed.user.role is Role.ADMIN
    assert (await desk.accounts.authenticate(renewed.access_token)).role is Role.ADMIN


async def test_reuse_ends_the_session_and_no_other(desk: Desk) -> None:
    first = await desk.register()
    other = await desk.login()
    second = await renew(desk, first)

    assert await failure(renew(desk, first)) is TOKEN_REUSED

    session_id = desk.session_id(first)
    assert desk.ended == [session_id]
    assert not await desk.accounts.session_active(session_id)
    assert await failure(renew(desk, second)) is SESSION_REVOKED
    assert await failure(renew(desk, first)) is SESSION_REVOKED
    assert await failure(desk.accounts.authenticate(second.access_token)) is SESSION_REVOKED
    assert (await renew(desk, other)).user == first.user
    reason = await desk.value("select reason from sessions where id = $1", session_id)
    assert reason == "token_reused"


async def test_of_two_parallel_uses_one_wins_and_the_other_is_a_reuse(desk: Desk) -> None:
    for n in range(10):
        first = await desk.register(f"Alice{n}")
        outcomes = await asyncio.gather(
            renew(desk, first), renew(desk, first), return_exceptions=True
        )

        won = [outcome for outcome in outcomes if isinstance(outcome, Session)]
        lost = [outcome.kind for outcome in outcomes if isinstance(outcome, Failure)]
        assert (len(won), lost) == (1, [TOKEN_REUSED])
        assert await failure(renew(desk, won[0])) is SESSION_REVOKED
        assert desk.ended[-1] == desk.session_id(first)


async def test_of_many_parallel_uses_never_two_win(desk: Desk) -> None:
    first = await desk.register()

    outcomes = await asyncio.gather(*(renew(desk, first) for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(outcome, Session) for outcome in outcomes) == 1
    kinds = {outcome.kind for outcome in outcomes if isinstance(outcome, Failure)}
    assert kinds == {TOKEN_REUSED, SESSION_REVOKED}
    issued = await desk.value("select count(*) from refresh_tokens where used_at_ms is null")
    assert issued == 1


@pytest.mark.parametrize("token", ["unknown", "\x00", "\ud800", "ü" * 1000])
async def test_a_token_that_was_never_issued_is_invalid(desk: Desk, token: str) -> None:
    await desk.register()

    assert await failure(desk.accounts.renew(Refresh(refresh_token=token))) is TOKEN_INVALID
    assert desk.ended == []


async def test_a_session_lasts_as_long_as_it_is_renewed(desk: Desk) -> None:
    session = await desk.register()
    for _ in range(3):
        desk.clock.pass_s(REFRESH_LIFETIME_S - 1)
        session = await renew(desk, session)
    session_id = desk.session_id(session)

    desk.clock.pass_s(REFRESH_LIFETIME_S - 0.001)
    assert await desk.accounts.session_active(session_id)
    desk.clock.pass_s(0.001)
    assert not await desk.accounts.session_active(session_id)
    assert await failure(renew(desk, session)) is TOKEN_EXPIRED
    assert REFRESH_LIFETIME_S == 7 * 86_400


async def test_a_used_token_is_a_reuse_even_after_it_expired(desk: Desk) -> None:
    first = await desk.register()
    desk.clock.pass_s(REFRESH_LIFETIME_S - 1)
    second = await renew(desk, first)
    desk.clock.pass_s(2)

    assert await failure(renew(desk, first)) is TOKEN_REUSED
    assert await failure(renew(desk, second)) is SESSION_REVOKED


async def test_an_access_token_expires_for_sockets_and_for_http(desk: Desk) -> None:
    session = await desk.register()
    desk.clock.pass_s(ACCESS_LIFETIME_S - 1)
    await desk.accounts.identify(session.access_token)
    desk.clock.pass_s(1)

    assert await failure(desk.accounts.authenticate(session.access_token)) is TOKEN_EXPIRED
    assert await failure(desk.accounts.identify(session.access_token)) is TOKEN_EXPIRED
    assert (await renew(desk, session)).user == session.user


async def test_a_log_out_ends_the_session_and_says_so(desk: Desk) -> None:
    session, other = await desk.register(), await desk.login()
    await desk.accounts.identify(session.access_token)

    assert await log_out(desk, session) == LoggedOut()

    session_id = desk.session_id(session)
    assert desk.ended == [session_id]
    assert not await desk.accounts.session_active(session_id)
    assert await failure(renew(desk, session)) is SESSION_REVOKED
    assert await failure(desk.accounts.authenticate(session.access_token)) is SESSION_REVOKED
    assert await failure(desk.accounts.identify(session.access_token)) is SESSION_REVOKED
    assert (await desk.accounts.authenticate(other.access_token)).user_id == session.user.id


async def test_logging_out_twice_is_the_same_as_once(desk: Desk) -> None:
    session = await desk.register()
    await log_out(desk, session)
    ended_at_ms = desk.clock.now_ms
    desk.clock.pass_s(5)

    await log_out(desk, session)

    assert await desk.value("select revoked_at_ms from sessions") == ended_at_ms


async def test_http_asks_once_and_then_believes_it_for_a_moment(desk: Desk) -> None:
    session = await desk.register()
    elsewhere = Desk(desk.pool, desk.passwords, desk.clock)
    await desk.accounts.identify(session.access_token)
    await log_out(elsewhere, session)

    desk.clock.pass_s(CONFIRMED_MS / 1000 - 0.001)
    assert (await desk.accounts.identify(session.access_token)).user_id == session.user.id
    assert await failure(desk.accounts.authenticate(session.access_token)) is SESSION_REVOKED
    desk.clock.pass_s(0.001)
    assert await failure(desk.accounts.identify(session.access_token)) is SESSION_REVOKED


async def test_a_node_that_hears_of_a_log_out_elsewhere_believes_it_at_once(desk: Desk) -> None:
    session = await desk.register()
    elsewhere = Desk(desk.pool, desk.passwords, desk.clock)
    await desk.accounts.identify(session.access_token)
    await log_out(elsewhere, session)

    desk.accounts.session_ended(desk.session_id(session))

    assert await failure(desk.accounts.identify(session.access_token)) is SESSION_REVOKED


async def test_http_needs_no_storage_for_what_was_confirmed(desk: Desk) -> None:
    session = await desk.register()
    first = await desk.accounts.identify(session.access_token)
    await desk.pool.close()

    assert await desk.accounts.identify(session.access_token) == first


@pytest.mark.parametrize("token", [None, ""])
async def test_no_token_at_all(desk: Desk, token: str | None) -> None:
    assert await failure(desk.accounts.authenticate(token)) is UNAUTHENTICATED
    assert await failure(desk.accounts.identify(token)) is UNAUTHENTICATED


async def test_a_session_that_never_was_is_not_active(desk: Desk) -> None:
    user = (await desk.register()).user

    assert not await desk.accounts.session_active(uuid4())
    token = desk.tokens.issue(user, uuid4())
    assert await failure(desk.accounts.authenticate(token)) is SESSION_REVOKED


async def test_an_open_socket_goes_on_with_a_newer_token_of_the_same_user(desk: Desk) -> None:
    session, bob = await desk.register(), await desk.register("Bob")
    current = await desk.accounts.authenticate(session.access_token)
    desk.clock.pass_s(60)
    renewed = await renew(desk, session)

    following = await desk.accounts.refresh_socket(
        current, RefreshSocket(token=renewed.access_token)
    )

    assert following == current._replace(expires_at_ms=current.expires_at_ms + 60_000)
    command = RefreshSocket(token=bob.access_token)
    assert await failure(desk.accounts.refresh_socket(current, command)) is TOKEN_INVALID


async def test_one_session_too_many_ends_the_oldest(desk: Desk) -> None:
    opened = [await desk.register()]
    bystander = await desk.register("Bob")
    while len(opened) < MAX_SESSIONS_PER_USER:
        desk.clock.pass_s(1)
        opened.append(await desk.login())
    assert desk.ended == []

    desk.clock.pass_s(1)
    opened.append(await desk.login())

    active = [await desk.accounts.session_active(desk.session_id(one)) for one in opened]
    assert active == [False] + [True] * MAX_SESSIONS_PER_USER
    assert desk.ended == [desk.session_id(opened[0])]
    assert await desk.accounts.session_active(desk.session_id(bystander))


async def test_log_ins_at_once_keep_to_the_bound(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_sessions, "MAX_SESSIONS_PER_USER", 3)
    await desk.register()

    await asyncio.gather(*(desk.login() for _ in range(10)))

    live = await desk.value("select count(*) from sessions where revoked_at_ms is null")
    assert live == 3
    assert len(set(desk.ended)) == 8


async def test_expired_sessions_do_not_count_as_open(desk: Desk) -> None:
    await desk.register()
    for _ in range(MAX_SESSIONS_PER_USER - 1):
        await desk.login()
    desk.clock.pass_s(REFRESH_LIFETIME_S)

    await desk.login()

    assert desk.ended == []


async def test_no_session_opens_for_an_account_closed_meanwhile(desk: Desk) -> None:
    user = (await desk.register()).user
    await desk.pool.execute("update users set disabled_at_ms = 1")

    assert await failure(desk.accounts.issue_token(user)) is ACCOUNT_DISABLED
    assert await desk.value("select count(*) from sessions") == 1


async def test_a_renewal_of_an_account_closed_by_hand_is_refused(desk: Desk) -> None:
    session = await desk.register()
    await desk.pool.execute("update users set disabled_at_ms = 1")

    assert await failure(renew(desk, session)) is SESSION_REVOKED
    assert await failure(desk.accounts.authenticate(session.access_token)) is SESSION_REVOKED


async def test_a_sweep_removes_what_expired_and_nothing_else(desk: Desk) -> None:
    old = await desk.register()
    desk.clock.pass_s(REFRESH_LIFETIME_S - 10)
    kept = await renew(desk, await desk.login())
    desk.clock.pass_s(10)

    assert await desk.accounts.sweep() == 2
    assert await desk.accounts.sweep() == 0

    assert await failure(renew(desk, old)) is TOKEN_INVALID
    assert await desk.value("select count(*) from sessions") == 1
    assert (await renew(desk, kept)).user == kept.user


async def test_a_sweep_keeps_a_live_session_whose_old_tokens_it_removes(desk: Desk) -> None:
    session = await desk.register()
    desk.clock.pass_s(REFRESH_LIFETIME_S - 10)
    renewed = await renew(desk, session)
    desk.clock.pass_s(10)

    assert await desk.accounts.sweep() == 1
    assert (await renew(desk, renewed)).user == session.user


async def test_a_sweep_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_sessions, "SWEEP_ROWS", 2)
    for n in range(3):
        await desk.register(f"Alice{n}")
    desk.clock.pass_s(REFRESH_LIFETIME_S)

    assert [await desk.accounts.sweep() for _ in range(3)] == [4, 2, 0]


async def test_when_full_the_oldest_name_is_looked_up_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "MAX_NAMES", 2)
    for username in ("Ann", "Ben", "Cat"):
        await desk.register(username)
        await desk.accounts.find_user(username)
    await desk.pool.execute("delete from refresh_tokens")
    await desk.pool.execute("delete from sessions")
    await desk.pool.execute("delete from users")

    found = [await desk.accounts.find_user(username) for username in ("Ann", "Ben", "Cat")]

    assert [user is not None for user in found] == [False, True, True]
