"""The audit as a whole: every check, over one snapshot of the database."""

import asyncpg

from storage.audit.bets import check_bets
from storage.audit.books import check_books, read_books
from storage.audit.chain import check_chain
from storage.audit.limits import check_limits
from storage.audit.rains import check_rains
from storage.audit.report import Report
from storage.audit.rounds import check_rounds
from storage.audit.snapshots import check_snapshots
from storage.audit.stakes import check_stakes
from storage.audit.transfers import check_transfers
from storage.vault import Vault


async def audit(dsn: str, vault: Vault) -> Report:
    """Check everything that is committed at one moment. A server may go on running meanwhile.

    Memory stays bounded however long the ledger is: large sorts go to PostgreSQL's disk.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: The database cannot be read.
    """
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "pitboss-audit"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return await examine(connection, vault)
    finally:
        await connection.close()


async def examine(connection: asyncpg.Connection, vault: Vault) -> Report:
    """Check what the open transaction of this connection sees."""
    report = Report()
    await read_books(connection, report)
    await check_chain(connection, report)
    await check_transfers(connection, report)
    await check_rains(connection, report)
    await check_bets(connection, vault, report)
    await check_rounds(connection, report)
    await check_stakes(connection, report)
    await check_limits(connection, report)
    await check_snapshots(connection, report)
    check_books(report)
    return report
