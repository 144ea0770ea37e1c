"""`pitboss token` and `pitboss user`: accounts, for operators."""

from datetime import UTC, datetime
from typing import Final, TextIO

import click

from protocol.bounds import DEFAULT_PAGE, MAX_PAGE
from protocol.commands.auth import Role
from server.cli_office import office
from server.cli_run import run, settings_or_exit
from server.cli_table import table
from storage.queries.users import Account, accounts_after, find_account

_ROLES: Final = click.Choice([role.value for role in Role])
_WEEK_MINUTES: Final = 7 * 24 * 60
_HEADINGS: Final = ("ID", "USERNAME", "ROLE", "STATE", "CREATED", "EMAIL")


@click.command()
@click.argument("username")
@click.option(
    "--minutes",
    type=click.IntRange(1, _WEEK_MINUTES),
    default=15,
    show_default=True,
    help="How long it holds; a week at most.",
)
def token(username: str, minutes: int) -> None:
    """Print an access token of USERNAME.

    It goes into the `auth` of a Socket.IO connection or into an `Authorization: Bearer` header. It
    opens a session of its own and cannot be refreshed. Keep it as secret as a password.
    """
    click.echo(run(_token(username, minutes * 60)))


async def _token(username: str, lifetime_s: int) -> str:
    async with office(settings_or_exit()) as opened:
        return await opened.accounts.issue_token(await opened.user(username), lifetime_s)


@click.group()
def user() -> None:
    """Create, list and change accounts."""


@user.command()
@click.argument("username")
@click.option("--email", help="Their e-mail address, which they may log in with too.")
@click.option("--role", type=_ROLES, default=Role.PLAYER.value, show_default=True)
@click.option(
    "--password-file",
    type=click.File(encoding="utf-8"),
    help="File with the password in its first line; - reads it from the standard input.",
)
def create(username: str, email: str | None, role: str, password_file: TextIO | None) -> None:
    """Open an account.

    Without a password nobody can log in to it, and only `pitboss token` opens it. A password is
    never an argument: those stand in the history and in the list of processes.
    """
    password = password_file.readline().rstrip("\r\n") if password_file else None
    run(_create(username, email, password, Role(role)))
    run(_show(username))


async def _create(username: str, email: str | None, password: str | None, role: Role) -> None:
    async with office(settings_or_exit()) as opened:
        await opened.accounts.create_user(email, username, password, role)


@user.command("list")
@click.option("--after", type=click.IntRange(0), default=0, help="Only ids above this one.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=DEFAULT_PAGE, show_default=True)
def list_(after: int, limit: int) -> None:
    """List accounts by id, a page at a time."""
    accounts = run(_page(after, limit + 1))
    click.echo(_table(accounts[:limit]))
    if len(accounts) > limit:
        click.echo(f"There are more: pitboss user list --after {accounts[limit - 1].id}", err=True)


async def _page(after: int, limit: int) -> list[Account]:
    async with office(settings_or_exit()) as opened:
        return await accounts_after(opened.pool, after, limit)


@user.command()
@click.argument("username")
def show(username: str) -> None:
    """Show one account."""
    run(_show(username))


async def _show(username: str) -> None:
    async with office(settings_or_exit()) as opened:
        found = await opened.user(username)
        account = await find_account(opened.pool, found.id)
    click.echo(_table([account]))


@user.command("role")
@click.argument("username")
@click.argument("role", type=_ROLES)
def change_role(username: str, role: str) -> None:
    """Change what USERNAME may do.

    It ends their sessions, so that they log in again with the new role. Open sockets end within
    ten seconds.
    """
    run(_change_role(username, Role(role)))
    run(_show(username))


async def _change_role(username: str, role: Role) -> None:
    async with office(settings_or_exit()) as opened:
        await opened.accounts.change_role(await opened.user(username), role)


@user.command()
@click.argument("username")
def disable(username: str) -> None:
    """Close an account: nobody logs in to it again, and its sessions end.

    Its money stays where it is. Open sockets end within ten seconds.
    """
    run(_disable(username))
    run(_show(username))


async def _disable(username: str) -> None:
    async with office(settings_or_exit()) as opened:
        await opened.accounts.disable_user(await opened.user(username))


def _table(accounts: list[Account]) -> str:
    rows = [
        (
            account.id,
            account.username,
            account.role,
            _state(account),
            f"{datetime.fromtimestamp(account.created_at_ms / 1_000, UTC):%Y-%m-%d %H:%M}",
            account.email or "-",
        )
        for account in accounts
    ]
    return table(_HEADINGS, rows, right="ID")


def _state(account: Account) -> str:
    if account.disabled_at_ms is not None:
        return "disabled"
    return "guest" if account.guest else "active"
