"""`pitboss audit`: whether the ledger adds up."""

import click
import msgspec

from protocol.money import CURRENCIES, display
from server.cli_office import existing_database
from server.cli_run import run, settings_or_exit
from server.cli_table import table
from storage.audit import Finding, Report
from storage.audit import audit as examine
from storage.vault import Vault

_BOOKS = ("wallets", "in_flight", "deposits", "faucet", "withdrawals", "house")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, amounts in minor units.")
def audit(as_json: bool) -> None:
    """Check the whole ledger, as of one moment.

    Each row must continue the one before it; every roll and payout is computed again from the
    seeds; both legs of every tip must match or wait in the outbox; and for each currency, what is
    in wallets must be what came in, less what went out and what the house has made. A server may
    go on running meanwhile. The exit code is 1 if anything is found.
    """
    report = run(_audit())
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2))
    else:
        click.echo(_text(report))
    if not report.clean:
        raise click.exceptions.Exit(1)


async def _audit() -> Report:
    settings = settings_or_exit()
    async with existing_database(settings) as dsn:
        vault = Vault(settings.seed_key(), settings.previous_seed_key())
        return await examine(dsn, vault)


def _text(report: Report) -> str:
    counts = (
        f"{report.wallets} wallets, {report.rows} rows, {report.bets} bets, {report.rounds} rounds,"
        f" {report.transfers} tips, {report.messages_waiting} messages waiting,"
        f" {report.seed_pairs} seed pairs, {report.snapshots} snapshots"
    )
    rows = [
        (code, *(_amount(getattr(totals, name), code) for name in _BOOKS))
        for code, totals in sorted(report.totals.items())
    ]
    headings = ("CURRENCY", *(name.upper() for name in _BOOKS))
    books = table(headings, rows, right=" ".join(headings[1:]))
    parts = [counts, books] if rows else [counts]
    if report.clean:
        return "\n\n".join([*parts, "The ledger is clean."])
    number = len(report.findings)
    more = " and more" if report.more_findings else ""
    found = f"{number}{more} finding{'s' * (number > 1)}:"
    return "\n\n".join([*parts, "\n".join([found, *map(_line, report.findings)])])


def _amount(minor: int, currency: str) -> str:
    return display(minor, currency) if currency in CURRENCIES else str(minor)


def _line(finding: Finding) -> str:
    place = f" wallet {finding.wallet_id}" if finding.wallet_id is not None else ""
    row = f" row {finding.seq}" if finding.seq is not None else ""
    return f"  {finding.check}:{place}{row}: {finding.text}".replace(":: ", ": ")
