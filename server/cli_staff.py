"""Adjusting wallets by way of the running server, in the name of an operator."""

from collections.abc import Callable
from typing import Final

import aiohttp
import click
import msgspec

from protocol.catalogue import API_PREFIX, COMMANDS
from protocol.commands.auth import Logout, Role, User
from protocol.commands.wallet import Deposit, Moved, Withdraw
from protocol.errors import ErrorBody
from server.cli_office import Office, office
from server.settings import Settings

# The account that answers for adjustments unless another is named.
CONSOLE: Final = "console"
_STAFF: Final = frozenset({Role.OPERATOR, Role.ADMIN})
# The token is for one request; the server answers or gives up within 2 seconds.
_TOKEN_LIFETIME_S: Final = 60
_ANSWER_LIMIT_S: Final = 10
_NAMES: Final = {Deposit: "wallet:deposit", Withdraw: "wallet:withdraw"}


class _Answer(msgspec.Struct):
    success: bool
    data: Moved | None = None
    error: ErrorBody | None = None


def local_url(settings: Settings) -> str:
    """Where the server of these settings listens."""
    if settings.port == 0:
        raise click.UsageError("PITBOSS_PORT is 0, a free port: name the server with --url.")
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


async def adjust(
    settings: Settings,
    url: str,
    username: str,
    staff: str,
    command_for: Callable[[int], Deposit | Withdraw],
) -> Moved:
    """Have the server at `url` adjust the wallet of `username`; every refusal ends the command."""
    async with office(settings) as opened:
        player = await opened.user(username)
        operator = await _operator(opened, staff)
        token = await opened.accounts.issue_token(operator, _TOKEN_LIFETIME_S)
        try:
            return await _ask(url, token, command_for(player.id))
        finally:
            await opened.accounts.logout(opened.tokens.verify(token), Logout())


async def _operator(opened: Office, staff: str) -> User:
    found = await opened.accounts.user_of(staff)
    if found is None and staff == CONSOLE:
        found = await opened.accounts.create_user(None, CONSOLE, None, Role.OPERATOR)
    if found is None:
        raise click.ClickException(f"There is no user {staff}.")
    if found.role not in _STAFF:
        raise click.ClickException(
            f"{staff} is a {found.role.value}: name an operator or admin with --as."
        )
    return found


async def _ask(url: str, token: str, command: Deposit | Withdraw) -> Moved:
    route = COMMANDS[_NAMES[type(command)]].route
    assert route is not None
    timeout = aiohttp.ClientTimeout(total=_ANSWER_LIMIT_S)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.request(
                route.method,
                f"{url.rstrip('/')}{API_PREFIX}{route.path}",
                data=msgspec.json.encode(command),
            ) as response,
        ):
            body = await response.read()
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise click.ClickException(
            f"No server answers at {url}: start it with `pitboss serve`, or name another with"
            " --url. Nothing was changed."
        ) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise click.ClickException(_unknown(url, command)) from error
    return _moved(url, command, body)


def _moved(url: str, command: Deposit | Withdraw, body: bytes) -> Moved:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except msgspec.DecodeError as error:
        raise click.ClickException(f"What answers at {url} is not Pitboss.") from error
    if answer.data is not None:
        return answer.data
    if answer.error is None or answer.error.temporary:
        raise click.ClickException(_unknown(url, command))
    details = ", ".join(f"{name}: {value}" for name, value in answer.error.details.items())
    raise click.ClickException(
        f"{answer.error.message} ({details})" if details else answer.error.message
    )


def _unknown(url: str, command: Deposit | Withdraw) -> str:
    return (
        f"{url} did not say whether it is done. Repeat the command with --request-id"
        f" {command.request_id}: it is then done once."
    )
