"""`pitboss cluster`: who serves, who owns what, and taking a node out."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import click
import msgspec

from actors.runtime.exchange import Exchange
from actors.runtime.membership import Member, shards_of_bits
from actors.runtime.ports import Holder, Unreachable
from server.cli_office import existing_database
from server.cli_run import run, settings_or_exit
from server.cli_table import table
from server.clock import now_ms
from server.cluster.credential import bus_key
from server.cluster.survey import DRAIN, Node, Survey, survey
from server.settings import Settings
from storage.bus import RedisBus
from storage.locks import PostgresLocks
from storage.pool import open_pool
from storage.redis_server import EmbeddedRedis
from storage.registry import RedisRegistry

# Shards that move, and announcements that are half a second old, look like trouble for a moment.
_LOOKS: Final = 4
BETWEEN_LOOKS_S: Final = 0.7
# How long a node may take to heed, and then to be gone: longer than all steps of its shutdown.
_HEED_S: Final = 10.0
_GONE_S: Final = 120.0
_LOOK_S: Final = 0.2
# A word on the bus may get lost with a connection: it is said again until it is heeded.
_AGAIN_S: Final = 1.0
_HEADINGS: Final = (
    "NAME", "ID", "STATE", "AGE", "ADDRESS", "SHARDS", "ACTORS", "CONNECTIONS", "BETS/S", "LAG"
)  # fmt: skip
_FLUSH: Final = "AGE SHARDS ACTORS CONNECTIONS BETS/S LAG"


@click.group()
def cluster() -> None:
    """See the nodes of a cluster, and take one out.

    They are found by REDIS_URL; without it, by the Redis that `pitboss serve --workers` has started
    in the data folder.
    """


@cluster.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(as_json: bool) -> None:
    """Show members, the shards they own, and what is wrong.

    SHARDS are those a node owns, of those that should be its. The exit code is 0 if the cluster is
    healthy, and 1 if it is not.
    """
    seen = run(_status(settings_or_exit()))
    if as_json:
        click.echo(msgspec.json.encode(seen))
    else:
        _show(seen)
    sys.exit(0 if seen.healthy else 1)


@cluster.command()
@click.argument("node")
def drain(node: str) -> None:
    """Have NODE, a name or an id, hand its shards to the others and end.

    Its players are told to reconnect. A node that is supervised, as workers are, is then started
    again. Waits until it is gone.
    """
    click.echo(run(_drain(settings_or_exit(), node)))


async def _status(settings: Settings) -> Survey:
    async with _registry(settings) as (registry, _url), _locks(settings) as locks:
        looks = 0
        while True:
            members = await _members(registry)
            holders = await _holders(locks, settings.shards)
            seen = survey(members, holders, settings.shards, now_ms())
            looks += 1
            if seen.healthy or looks == _LOOKS:
                return seen
            await asyncio.sleep(BETWEEN_LOOKS_S)


async def _members(registry: RedisRegistry) -> list[Member] | None:
    try:
        return await registry.look()
    except Unreachable:
        return None


async def _holders(locks: PostgresLocks | None, shards: int) -> dict[int, Holder] | None:
    if locks is None:
        return None
    try:
        return await locks.holders(range(shards))
    except Unreachable:
        return None


@asynccontextmanager
async def _registry(settings: Settings) -> AsyncIterator[tuple[RedisRegistry, str]]:
    """The members of these settings' cluster, and the Redis they meet over."""
    url = settings.redis_url or EmbeddedRedis(settings.data_dir).running_url
    if url is None:
        raise click.ClickException(
            f"No nodes meet here: REDIS_URL is not set, and no Redis of `pitboss serve --workers`"
            f" runs in {settings.data_dir}."
        )
    registry = RedisRegistry(url, settings.cluster_name, _key(settings))
    try:
        yield registry, url
    finally:
        await registry.close()


def _key(settings: Settings) -> bytes:
    return bus_key(settings.jwt_secret_value(), settings.cluster_name)


@asynccontextmanager
async def _locks(settings: Settings) -> AsyncIterator[PostgresLocks | None]:
    """PostgreSQL's locks; None if it does not answer."""
    async with existing_database(settings) as dsn:
        try:
            pool = await open_pool(dsn, 1)
        except (asyncpg.PostgresError, OSError, TimeoutError):
            yield None
            return
        try:
            yield PostgresLocks(pool)
        finally:
            pool.terminate()


async def _drain(settings: Settings, wanted: str) -> str:
    async with _registry(settings) as (registry, url):
        member = _named(await registry.look(), wanted)
        me = f"operator-{secrets.token_hex(4)}"
        bus = RedisBus(url, settings.cluster_name, me)
        exchange = Exchange(me, bus, _key(settings))
        running = asyncio.create_task(bus.run())
        try:
            await _until_gone(registry, exchange, member)
        finally:
            bus.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await _until_all_owned(registry, settings.shards, member)
    return f"{member.name} has ended, and the others have its shards."


def _named(members: Sequence[Member], wanted: str) -> Member:
    """The one that is meant; whoever is not, or cannot be done without, ends the command."""
    found = [one for one in members if wanted in {one.id, one.name}]
    if not found:
        names = ", ".join(sorted(one.name for one in members)) or "none"
        raise click.ClickException(f"There is no node {wanted}; there are: {names}.")
    if len(found) > 1:
        ids = ", ".join(sorted(one.id for one in found))
        raise click.ClickException(f"Several nodes are named {wanted}; name one by its id: {ids}.")
    others = [one for one in members if one.able and not one.draining and one.id != found[0].id]
    if not others:
        raise click.ClickException(
            f"There is no other node to take over from {wanted}. SIGTERM ends it all the same."
        )
    return found[0]


async def _until_gone(registry: RedisRegistry, exchange: Exchange, member: Member) -> None:
    """Tell a member to drain, and wait until it is seen no more."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    told_s = float("-inf")
    last = member
    while True:
        now_s = loop.time()
        if not last.draining:
            if now_s - began_s > _HEED_S:
                raise click.ClickException(f"{last.name} does not heed: is it stopped?")
            if now_s - told_s > _AGAIN_S and exchange.say(last.id, DRAIN, None):
                told_s = now_s
        elif now_s - began_s > _GONE_S:
            raise click.ClickException(f"{last.name} still drains after {_GONE_S:.0f} s.")
        await asyncio.sleep(_LOOK_S)
        seen = await _members(registry)
        if seen is None:
            continue
        found = next((one for one in seen if one.id == last.id), None)
        if found is None:
            return
        if found.draining and not last.draining:
            click.echo(f"{found.name} drains.", err=True)
        last = found


async def _until_all_owned(registry: RedisRegistry, shards: int, gone: Member) -> None:
    """Wait until those who are left say that they own everything."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _HEED_S
    missing = set(range(shards))
    while missing:
        if loop.time() > until_s:
            raise click.ClickException(
                f"{gone.name} has ended, and nobody owns {len(missing)} shards yet: see `pitboss"
                " cluster status`."
            )
        for one in await _members(registry) or ():
            missing -= shards_of_bits(one.shards)
        await asyncio.sleep(_LOOK_S)


def _show(seen: Survey) -> None:
    click.echo(table(_HEADINGS, [_row(node) for node in seen.nodes], _FLUSH))
    owned = sum(node.owned for node in seen.nodes)
    click.echo(
        f"\n{owned} of {seen.shards} shards have an owner;"
        f" Redis {_word(seen.redis)}, PostgreSQL {_word(seen.postgres)}."
    )
    for problem in seen.problems:
        click.echo(problem)
    if seen.healthy:
        click.echo("The cluster is healthy.")


def _word(reachable: bool) -> str:
    return "answers" if reachable else "does not answer"


def _row(node: Node) -> tuple[str, ...]:
    return (
        node.name,
        node.id,
        node.state,
        _age(node.age_s),
        node.address or "-",
        f"{node.owned} of {node.wanted}",
        str(node.actors),
        str(node.connections),
        f"{node.bets_per_second:.0f}",
        f"{node.lag_ms:.0f} ms",
    )


def _age(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
