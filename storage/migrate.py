"""Bring a database's schema up to date: `storage/migrations/NNNN_name.sql`, in order, each once."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

__all__ = ["MIGRATIONS", "MigrationError", "migrate"]

MIGRATIONS = Path(__file__).parent / "migrations"

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# Any constant does, as long as nobody else uses it; this one spells "migrate" in ASCII.
_LOCK_KEY = int.from_bytes(b"migrate")
# Another node may be migrating; a node that waits longer than this should say so and end.
_LOCK_LIMIT = "10min"

_CREATE_HISTORY = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The database's history and this program's migrations do not fit; nothing was changed."""


@dataclass(frozen=True, slots=True)
class _Migration:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


async def migrate(dsn: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing and return the names of what was applied, in order.

    Each migration is one transaction, with its row in `schema_migrations`. Nodes that start
    together take turns; the later ones find nothing left to do.

    Raises:
        MigrationError: A migration was changed after it was applied, or the database has one that
            this program does not know, or the files are not numbered 1, 2, 3, ...
        asyncpg.PostgresError: A migration failed; those before it stay applied.
    """
    migrations = _read(folder)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"SET lock_timeout = '{_LOCK_LIMIT}'")
        # Held by the session, so it is given back when the connection ends, however that happens.
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
        await connection.execute(_CREATE_HISTORY)
        rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations")
        applied = {row["version"]: row for row in rows}
        _check_history(migrations, applied)
        missing = [one for one in migrations if one.version not in applied]
        for migration in missing:
            await _apply(connection, migration)
    finally:
        await connection.close()
    return [migration.name for migration in missing]


def _read(folder: Path) -> list[_Migration]:
    migrations = []
    for position, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != position:
            raise MigrationError(
                f"{path.name} should be named {position:04d}_<name>.sql: migrations are numbered"
                " without gaps"
            )
        migrations.append(_Migration(position, path.stem, path.read_text(encoding="utf-8")))
    return migrations


def _check_history(migrations: list[_Migration], applied: dict[int, asyncpg.Record]) -> None:
    known = {migration.version: migration for migration in migrations}
    for version, row in sorted(applied.items()):
        migration = known.get(version)
        if migration is None:
            raise MigrationError(
                f"the database has migration {row['name']}, which this Pitboss does not know:"
                " start the newer Pitboss that applied it"
            )
        if (migration.name, migration.checksum) != (row["name"], row["checksum"]):
            raise MigrationError(
                f"migration {migration.name} differs from what was applied as {row['name']}:"
                " restore the file, and put the change into a new migration"
            )


async def _apply(connection: asyncpg.Connection, migration: _Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        error.add_note(f"in migration {migration.name}")
        raise
