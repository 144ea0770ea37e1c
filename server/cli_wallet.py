"""`pitboss wallet`: what a player has, how it came to that, and operators' adjustments."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import click
import msgspec

from protocol.bounds import DEFAULT_PAGE, MAX_PAGE
from protocol.commands.wallet import BalanceOf, Deposit, GetHistory, History, Moved, Withdraw
from protocol.money import CURRENCIES, display, parse
from server.cli_office import office
from server.cli_run import run, settings_or_exit
from server.cli_staff import adjust, local_url
from server.cli_table import table
from storage.queries.balances import balances
from storage.queries.history import history as read_history


def _code(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """A currency code in capitals; unknown ones are refused."""
    code = value.upper() if value else None
    if code is not None and code not in CURRENCIES:
        raise click.BadParameter(f"{value} is not offered; there are {', '.join(CURRENCIES)}")
    return code


_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, in minor units.")


@click.group()
def wallet() -> None:
    """Look into wallets, and adjust them.

    Amounts are decimal numbers such as 12.50, converted exactly.
    """


@wallet.command()
@click.argument("username")
@_as_json
def show(username: str, as_json: bool) -> None:
    """Show the committed balances of USERNAME."""
    found = run(_balances(username))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=0))
        return
    rows = [
        (b.currency, display(b.available, b.currency), display(b.held, b.currency), b.seq)
        for b in found
    ]
    click.echo(table(("CURRENCY", "AVAILABLE", "HELD", "SEQ"), rows, right="AVAILABLE HELD SEQ"))


async def _balances(username: str) -> list[BalanceOf]:
    async with office(settings_or_exit()) as opened:
        found = await opened.user(username)
        return await balances(opened.pool, found.id)


@wallet.command()
@click.argument("username")
@click.option("--currency", callback=_code, help="Only entries in this currency.")
@click.option("--before", type=click.IntRange(1), help="Only entries older than this number.")
@click.option("--limit", type=click.IntRange(1, MAX_PAGE), default=DEFAULT_PAGE, show_default=True)
@_as_json
def history(
    username: str, currency: str | None, before: int | None, limit: int, as_json: bool
) -> None:
    """Show the ledger of USERNAME, newest first, a page at a time."""
    page = run(_history(username, GetHistory(currency=currency, before=before, limit=limit)))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(page), indent=0))
        return
    click.echo(_ledger(page))
    if page.next_before is not None:
        again = f"pitboss wallet history {username} --before {page.next_before}"
        click.echo(f"There are more: {again}", err=True)


async def _history(username: str, command: GetHistory) -> History:
    async with office(settings_or_exit()) as opened:
        found = await opened.user(username)
        return await read_history(opened.pool, found.id, command)


def _ledger(page: History) -> str:
    rows = [
        (
            entry.seq,
            f"{datetime.fromtimestamp(entry.at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S}",
            entry.kind,
            display(entry.available_delta, entry.currency),
            display(entry.available_after, entry.currency),
            entry.currency,
            entry.counterparty or "-",
        )
        for entry in page.entries
    ]
    headings = ("SEQ", "TIME", "KIND", "CHANGE", "AVAILABLE", "CURRENCY", "WITH")
    return table(headings, rows, right="SEQ CHANGE AVAILABLE WITH")


_request_id = click.option(
    "--request-id",
    type=click.UUID,
    help="Repeats an adjustment whose answer was lost: the same id is done once.",
)
_url = click.option("--url", help="Address of the running server; without it, this machine's.")
_as = click.option(
    "--as",
    "staff",
    default="console",
    show_default=True,
    help="The operator or admin who answers for it. `console` is made when it is first needed.",
)


@wallet.command(epilog="For example: pitboss wallet deposit alice 25.00 USD")
@click.argument("username")
@click.argument("amount")
@click.argument("currency", callback=_code)
@_as
@_request_id
@_url
def deposit(
    username: str, amount: str, currency: str, staff: str, request_id: UUID | None, url: str | None
) -> None:
    """Bring money into the wallet of USERNAME.

    The running server does it, as it alone writes the ledger.
    """
    _adjust("deposit", username, amount, currency, staff, request_id, url)


@wallet.command(epilog="For example: pitboss wallet withdraw alice 25.00 USD")
@click.argument("username")
@click.argument("amount")
@click.argument("currency", callback=_code)
@_as
@_request_id
@_url
def withdraw(
    username: str, amount: str, currency: str, staff: str, request_id: UUID | None, url: str | None
) -> None:
    """Take money out of the wallet of USERNAME.

    The running server does it, as it alone writes the ledger.
    """
    _adjust("withdraw", username, amount, currency, staff, request_id, url)


def _adjust(
    verb: str,
    username: str,
    amount: str,
    currency: str,
    staff: str,
    request_id: UUID | None,
    url: str | None,
) -> None:
    try:
        amount_minor = parse(amount, currency)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="AMOUNT") from error
    settings = settings_or_exit()
    known_id = request_id or uuid4()
    kind = Deposit if verb == "deposit" else Withdraw
    moved: Moved = run(
        adjust(
            settings,
            url or local_url(settings),
            username,
            staff,
            lambda user_id: kind(user_id, currency, amount_minor, known_id),
        )
    )
    after = display(moved.balance.available, currency)
    click.echo(f"{moved.kind} of {display(moved.amount, currency)} {currency} for {username}")
    click.echo(f"available now: {after} {currency} (entry {moved.seq}, request {known_id})")
