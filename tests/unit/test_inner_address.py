"""What a node announces as the address of its listener for other members."""

import socket

import pytest

from server.cluster.address import reached_at
from storage.resp import Address, address_of

EVERYWHERE = "0.0.0.0"  # noqa: S104 - nobody listens
HERE = address_of("redis://127.0.0.1:6379/0")


def own_address() -> str:
    """An address of this machine that others might reach; its test is skipped if there is none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            # Of a network for documents (RFC 5737): it takes the way to anywhere. Nothing is sent.
            asked.connect(("203.0.113.1", 9))
            return str(asked.getsockname()[0])
    except OSError as error:
        pytest.skip(f"this machine has no network: {error}")


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.7", "fd00::7", "floor-1.internal"])
async def test_a_host_that_is_set_is_what_others_are_told(host: str) -> None:
    assert await reached_at(host, HERE) == host


async def test_one_that_listens_everywhere_is_reached_where_it_reaches_redis() -> None:
    own = own_address()
    assert await reached_at(EVERYWHERE, address_of(f"redis://{own}:6379/0")) == own


@pytest.mark.parametrize(
    ("host", "redis"),
    [
        (EVERYWHERE, HERE),
        ("::", address_of("redis://[::1]:6379/0")),
        (EVERYWHERE, address_of("unix:///run/redis.sock")),
        # Nothing that listens on the one kind of address is reached by the other.
        (EVERYWHERE, address_of("redis://[fd00::7]:6379/0")),
        ("::", HERE),
        (EVERYWHERE, address_of("redis://no-such-host.invalid:6379/0")),
    ],
)
async def test_without_a_way_that_leads_out_it_is_the_host_name(host: str, redis: Address) -> None:
    assert await reached_at(host, redis) == socket.gethostname()
