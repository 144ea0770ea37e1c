"""What all nodes of a database agree on, kept in the database itself."""

from typing import Final

import asyncpg

__all__ = ["WrongClusterError", "WrongShardsError", "check_placement"]

# The row stays locked until all is checked, so that nodes that start together take turns.
_FIX: Final = """
insert into placement (shards) values ($1)
on conflict (one) do update set shards = placement.shards
returning shards, cluster
"""
_NAME: Final = "update placement set cluster = $1"


class WrongShardsError(Exception):
    """The database's actors are hashed into another number of shards; nothing was changed."""


class WrongClusterError(Exception):
    """The database's nodes are a cluster of another name; nothing was changed."""


async def check_placement(pool: asyncpg.Pool, shards: int, cluster: str | None) -> None:
    """Fix the number of shards and the cluster's name, or see that they are those fixed before.

    Two nodes of different numbers would both own some actors, and neither would find what waits in
    the outbox for others. Two clusters on one database would each find the holders of its locks
    silent, and end their connections in turn, for ever.

    A node that is alone (`cluster` is None) fixes no name and asks for none: it ends nobody's
    connections, but waits until all locks are free. So one may serve after a cluster has ended,
    and the cluster's name stays for when it comes back.

    Raises:
        WrongShardsError: It is another number.
        WrongClusterError: It is another name.
        asyncpg.PostgresError: The database cannot be asked.
    """
    async with pool.acquire() as connection, connection.transaction():
        fixed, name = await connection.fetchrow(_FIX, shards)
        if fixed != shards:
            raise WrongShardsError(
                f"the actors of this database are hashed into {fixed} shards, which cannot be"
                f" changed: set PITBOSS_SHARDS to {fixed} instead of {shards}"
            )
        if cluster is None or cluster == name:
            return
        if name is not None:
            raise WrongClusterError(
                f"the nodes of this database are the cluster {name}: set PITBOSS_CLUSTER_NAME to"
                f" {name} instead of {cluster}"
            )
        await connection.execute(_NAME, cluster)
