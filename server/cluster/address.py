"""The address at which other members reach a listener."""

import asyncio
import socket
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from storage.resp import Address

# A listener on one of these has every address of its family, and no other's.
_EVERYWHERE: Final = MappingProxyType(
    {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6}  # noqa: S104 - compared, not bound
)


async def reached_at(host: str, redis: Address) -> str:
    """What to announce for a listener on `host`.

    For one that listens everywhere it is the address of the interface that reaches Redis, as that
    is where the others are; the machine's name if Redis is on this machine, or cannot be found.
    """
    family = _EVERYWHERE.get(host)
    if family is None:
        return host
    return await asyncio.to_thread(_towards, redis, family) or socket.gethostname()


def _towards(redis: Address, family: socket.AddressFamily) -> str:
    """Our address on the way to Redis; empty if there is none that others could use."""
    if redis.path is not None:
        return ""
    try:
        found = socket.getaddrinfo(redis.host, redis.port, family, socket.SOCK_DGRAM)
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            # It only looks up the route: nothing is sent.
            asked.connect(found[0][4])
            address = str(asked.getsockname()[0])
    except OSError:
        return ""
    known = ip_address(address)
    return "" if known.is_loopback or known.is_link_local else address
