"""Whose connection it is: the client's address, behind any number of trusted proxies."""

import asyncio
from collections.abc import Collection, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from multidict import MultiMapping

from server.sockets.options import Network

_FORWARDED: Final = "X-Forwarded-For"
# Proxies of ours that one request may come through: an edge, a balancer, an ingress, and as many
# again. What an even longer header says further left is not read.
MAX_PROXIES: Final = 6
# A provider gives each household or server at least this much of IPv6, so it counts as one address.
_IPV6_PREFIX: Final = 64
# Clients open several connections in a row; a miss costs a few microseconds.
_REMEMBERED: Final = 4_096


def peer_address(transport: asyncio.BaseTransport | None) -> str:
    """The address at the other end of the network connection."""
    peer = transport.get_extra_info("peername") if transport is not None else None
    return str(peer[0]) if isinstance(peer, tuple) else ""


class Addresses:
    """Knows our proxies, and what their word is worth."""

    __slots__ = ("_trusted",)

    def __init__(self, trusted: Collection[Network]) -> None:
        self._trusted = tuple(trusted)

    def is_proxy(self, peer: str) -> bool:
        """Whether `peer` is a proxy whose X-Forwarded-For is believed."""
        if not self._trusted:
            return False
        address = _parse(peer)
        return address is not None and self._trusts(address)

    def of(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address that limits count: the nearest that no proxy of ours has.

        Each proxy appends whom it heard, so the entries are believed from the right for as long as
        a trusted one wrote them. An IPv6 address stands for its /64 network.
        """
        address = _parse(peer)
        if address is None:
            return peer
        if self._trusted and self._trusts(address):
            for entry in reversed(_forwarded(headers).rsplit(",", MAX_PROXIES)[-MAX_PROXIES:]):
                before = _parse(entry)
                if before is None:
                    break
                address = before
                if not self._trusts(address):
                    break
        return _counted(address)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._trusted)


def _forwarded(headers: Mapping[str, str]) -> str:
    """The whole list; a header that is given several times is one list in pieces."""
    if isinstance(headers, MultiMapping):
        return ",".join(headers.getall(_FORWARDED, ()))
    return headers.get(_FORWARDED, "")


@lru_cache(_REMEMBERED)
def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write them, perhaps with a port; None if it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A socket that listens on IPv6 writes an IPv4 peer so.
    return getattr(address, "ipv4_mapped", None) or address


def _counted(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), _IPV6_PREFIX), strict=False))
