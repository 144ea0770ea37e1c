"""Whose connection it is, behind proxies that may be believed and clients that may not."""

from ipaddress import ip_network

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from server.sockets.addresses import MAX_PROXIES, Addresses

OURS = [ip_network(text) for text in ("10.0.0.0/8", "192.0.2.1", "2001:db8:aaaa::/48")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # No proxy of ours: what it says of others does not count.
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),
        ("10.1.2.3", "198.51.100.7", "198.51.100.7"),
        ("10.1.2.3", "", "10.1.2.3"),
        # The client made the first entry up.
        ("10.1.2.3", "6.6.6.6, 198.51.100.7", "198.51.100.7"),
        ("10.1.2.3", "6.6.6.6, 198.51.100.7, 10.9.9.9, 192.0.2.1", "198.51.100.7"),
        # All of them are ours: the first is where it began.
        ("10.1.2.3", "10.4.4.4, 10.5.5.5", "10.4.4.4"),
        # Nonsense is where believing ends: the proxy that wrote it counts itself.
        ("10.1.2.3", "198.51.100.7, unknown, 10.5.5.5", "10.5.5.5"),
        ("10.1.2.3", "unknown", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.7, ", "10.1.2.3"),
        # As some proxies write them.
        ("10.1.2.3", "198.51.100.7:4711", "198.51.100.7"),
        ("10.1.2.3", "[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64"),
        ("10.1.2.3", "::ffff:198.51.100.7", "198.51.100.7"),
        ("::ffff:10.1.2.3", "198.51.100.7", "198.51.100.7"),
        ("2001:db8:aaaa::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:bbbb::1", "198.51.100.7", "2001:db8:bbbb::/64"),
        ("fe80::1%eth0", "198.51.100.7", "fe80::/64"),
        ("", "198.51.100.7", ""),
    ],
)
def test_the_client_is_the_nearest_that_is_not_ours(peer: str, forwarded: str, client: str) -> None:
    assert Addresses(OURS).of(peer, {"X-Forwarded-For": forwarded}) == client


def test_a_header_in_several_lines_is_one_list() -> None:
    headers = CIMultiDict([("X-Forwarded-For", "6.6.6.6"), ("x-forwarded-for", "198.51.100.7")])
    assert Addresses(OURS).of("10.1.2.3", CIMultiDictProxy(headers)) == "198.51.100.7"


def test_two_addresses_of_one_network_count_as_one() -> None:
    addresses = Addresses([])
    assert addresses.of("2001:db8:1:2::1", {}) == addresses.of("2001:db8:1:2:ffff::9", {})
    assert addresses.of("2001:db8:1:2::1", {}) != addresses.of("2001:db8:1:3::1", {})


def test_a_line_of_proxies_is_bounded() -> None:
    hops = ["198.51.100.7", *(f"10.0.0.{number}" for number in range(MAX_PROXIES + 3))]
    client = Addresses(OURS).of("10.1.2.3", {"X-Forwarded-For": ", ".join(hops)})
    assert client == "10.0.0.3"


def test_which_peers_are_proxies() -> None:
    addresses = Addresses(OURS)
    peers = ("10.255.0.1", "192.0.2.1", "192.0.2.2", "::ffff:10.0.0.1", "2001:db8:aaaa::9", "")
    assert [addresses.is_proxy(peer) for peer in peers] == [True, True, False, True, True, False]
    assert not Addresses([]).is_proxy("10.0.0.1")
