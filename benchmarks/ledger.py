"""Whether the ledger has what was acknowledged: a server that skips the work is no use."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks.server_process import foreign_environment

_ROOT: Final = Path(__file__).parents[1]
_ROWS: Final = "select count(*) from wallet_entries where kind = 'bet' and wallet_id = any($1)"


class LedgerError(Exception):
    """The ledger does not have what was acknowledged."""


async def check_rows(database_url: str, user_ids: Sequence[int], acknowledged: int) -> None:
    """Count the bets of these players.

    Raises:
        LedgerError: There are more or fewer than were acknowledged.
    """
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetchval(_ROWS, user_ids)
    finally:
        await connection.close()
    if rows != acknowledged:
        raise LedgerError(f"{acknowledged} bets were acknowledged, and the ledger has {rows}")


async def audit(environment: Mapping[str, str]) -> str:
    """Run `pitboss audit` on the whole ledger, with the server's settings, and return what it says.

    Settings of this process count where `environment` leaves open in which folder the data is:
    whoever names the folder has a server of its own, whose keys are there.

    Raises:
        LedgerError: It found something wrong.
    """
    inherited = foreign_environment() if "PITBOSS_DATA_DIR" in environment else os.environ
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server",
        "audit",
        cwd=_ROOT,
        env={**inherited, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    said = output.decode().strip()
    if process.returncode != 0:
        raise LedgerError(f"the audit failed: {said}")
    return said
