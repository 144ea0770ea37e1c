"""Migrations: applied once and in order, by many nodes at a time, and never changed afterwards."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from storage.migrate import MIGRATIONS, MigrationError, migrate


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations, of which the second needs the first."""
    write(tmp_path, "0001_one.sql", "CREATE TABLE one (n integer PRIMARY KEY);")
    write(tmp_path, "0002_two.sql", "INSERT INTO one VALUES (1); INSERT INTO one VALUES (2);")
    return tmp_path


def write(folder: Path, name: str, sql: str) -> None:
    (folder / name).write_text(sql)


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_applies_in_order_and_only_once(empty_database_url: str, folder: Path) -> None:
    assert await migrate(empty_database_url, folder) == ["0001_one", "0002_two"]
    assert await migrate(empty_database_url, folder) == []
    write(folder, "0003_three.sql", "DELETE FROM one WHERE n = 1;")
    assert await migrate(empty_database_url, folder) == ["0003_three"]
    assert await value(empty_database_url, "SELECT array_agg(n) FROM one") == [2]


async def test_nodes_that_start_together_take_turns(empty_database_url: str, folder: Path) -> None:
    applied = await asyncio.gather(*(migrate(empty_database_url, folder) for _ in range(5)))
    assert sorted(applied) == [[], [], [], [], ["0001_one", "0002_two"]]
    assert await value(empty_database_url, "SELECT count(*) FROM one") == 2


async def test_a_failed_migration_leaves_nothing_behind(
    empty_database_url: str, folder: Path
) -> None:
    write(folder, "0003_three.sql", "CREATE TABLE three (); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError) as raised:
        await migrate(empty_database_url, folder)
    assert raised.value.__notes__ == ["in migration 0003_three"]
    assert await value(empty_database_url, "SELECT to_regclass('three')") is None
    assert await value(empty_database_url, "SELECT max(version) FROM schema_migrations") == 2


async def test_a_migration_that_cannot_be_recorded_is_not_applied(
    empty_database_url: str, folder: Path
) -> None:
    write(folder, "0003_three.sql", "CREATE TABLE three (); DROP TABLE schema_migrations;")
    with pytest.raises(asyncpg.UndefinedTableError):
        await migrate(empty_database_url, folder)
    assert await value(empty_database_url, "SELECT to_regclass('three')") is None
    assert await value(empty_database_url, "SELECT max(version) FROM schema_migrations") == 2


async def test_a_changed_migration_is_refused(empty_database_url: str, folder: Path) -> None:
    await migrate(empty_database_url, folder)
    write(folder, "0001_one.sql", "CREATE TABLE one (n bigint PRIMARY KEY);")
    write(folder, "0003_three.sql", "CREATE TABLE three ();")
    with pytest.raises(MigrationError, match="0001_one differs"):
        await migrate(empty_database_url, folder)
    assert await value(empty_database_url, "SELECT to_regclass('three')") is None


async def test_a_renamed_migration_is_refused(empty_database_url: str, folder: Path) -> None:
    await migrate(empty_database_url, folder)
    (folder / "0002_two.sql").rename(folder / "0002_deux.sql")
    with pytest.raises(MigrationError, match=r"0002_deux differs .* 0002_two"):
        await migrate(empty_database_url, folder)


async def test_a_database_of_a_newer_program_is_refused(
    empty_database_url: str, folder: Path
) -> None:
    await migrate(empty_database_url, folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(MigrationError, match="0002_two, which this Pitboss does not know"):
        await migrate(empty_database_url, folder)


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_again.sql", "3_short.sql", "0003_Big.sql"])
async def test_misnumbered_files_are_refused(
    empty_database_url: str, folder: Path, name: str
) -> None:
    write(folder, name, "SELECT 1;")
    with pytest.raises(MigrationError, match="numbered"):
        await migrate(empty_database_url, folder)
    assert await value(empty_database_url, "SELECT to_regclass('schema_migrations')") is None


async def test_the_schema_of_this_program_applies(empty_database_url: str) -> None:
    expected = sorted(path.stem for path in MIGRATIONS.glob("*.sql"))
    assert await migrate(empty_database_url) == expected


async def test_each_test_gets_a_migrated_database_of_its_own(database_url: str) -> None:
    assert await migrate(database_url) == []
