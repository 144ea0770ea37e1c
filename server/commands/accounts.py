"""The account service's commands."""

from collections.abc import Callable
from uuid import UUID

from protocol.commands.auth import (
    Guest,
    LoggedOut,
    Login,
    Logout,
    Refresh,
    RefreshSocket,
    Register,
    Renewed,
    Session,
)
from protocol.errors import MALFORMED, UNAUTHENTICATED, Failure
from server.auth.service import Accounts
from server.caller import Caller
from server.router import Handler
from server.work import Work


class AccountCommands:
    """Handlers of `auth:*`."""

    def __init__(
        self,
        accounts: Accounts,
        now_ms: Callable[[], int],
        on_renewed: Callable[[Caller, UUID], None],
    ) -> None:
        self._accounts = accounts
        self._now_ms = now_ms
        self._on_renewed = on_renewed

    def handlers(self, work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        return {
            "auth:register": work.answering(self._register),
            "auth:login": work.answering(self._login),
            "auth:guest": work.answering(self._guest),
            "auth:renew": work.answering(self._renew),
            "auth:refresh": work.answering(self._refresh),
            "auth:logout": work.answering(self._logout),
        }

    async def _register(self, _caller: Caller, command: Register) -> Session:
        return await self._accounts.register(command)

    async def _login(self, _caller: Caller, command: Login) -> Session:
        return await self._accounts.login(command)

    async def _guest(self, _caller: Caller, command: Guest) -> Session:
        return await self._accounts.guest(command)

    async def _renew(self, _caller: Caller, command: Refresh) -> Session:
        return await self._accounts.renew(command)

    async def _refresh(self, caller: Caller, command: RefreshSocket) -> Renewed:
        if caller.socket is None:
            raise Failure(MALFORMED, reason="Only an open socket is refreshed.")
        if caller.identity is None:
            raise Failure(UNAUTHENTICATED)
        renewed = await self._accounts.refresh_socket(caller.identity, command)
        # Read now: another refresh of this socket may have been faster.
        before = caller.identity.session_id
        caller.become(renewed)
        self._on_renewed(caller, before)
        expires_ms = renewed.expires_at_ms - self._now_ms()
        return Renewed(expires_in=expires_ms // 1_000)

    async def _logout(self, caller: Caller, command: Logout) -> LoggedOut:
        if caller.identity is None:
            raise Failure(UNAUTHENTICATED)
        return await self._accounts.logout(caller.identity, command)
