"""Requests that come to another node than their session's: polls are forwarded."""

import asyncio
import json
import time
from ipaddress import ip_network
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from server.cluster import takeover
from server.cluster.credential import MOST_APART_S, Credential
from server.sockets.admission import PACKETS_PER_REQUEST
from server.sockets.options import SocketOptions
from tests.sockets.application import Served
from tests.sockets.raw import RawSocket, raw
from tests.sockets.test_polling import Poller
from tests.sockets.two_nodes import ONE, SECRET, TWO, Member, two_nodes

ORIGIN = "https://floor.example"


class StrayPoller(Poller):
    """A session that is opened at one node and goes on at another."""

    def __init__(self, http: aiohttp.ClientSession, home: Served, elsewhere: Served) -> None:
        super().__init__(http, home.url)
        self.home = home
        self.elsewhere = elsewhere

    async def open(self) -> dict[str, Any]:
        handshake = await super().open()
        self.url = self.url.replace(self.home.url, self.elsewhere.url)
        return handshake


@pytest_asyncio.fixture
async def poller(nodes: tuple[Member, Member], http: aiohttp.ClientSession) -> StrayPoller:
    """A session of the first node, that goes on at the second."""
    poller = StrayPoller(http, *nodes)
    await poller.join()
    return poller


async def test_a_session_of_another_node_goes_on_through_this_one(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = StrayPoller(http, one, two)

    await poller.join()
    assert poller.sid.startswith(ONE)
    body = '451-["echo",{"_placeholder":true,"num":0}]\x1ebAP8=\x1e420["echo","né"]'
    assert await poller.post(body) == (200, "ok")
    packets = await poller.hear_until(lambda packets: '430["né"]' in packets)

    assert packets[-2:] == ["bAP8=", '430["né"]']
    assert (one.connections, two.connections) == (1, 0)
    assert one.server.counters.forwarded == 0
    assert two.server.counters.forwarded >= 4
    assert one.server.engine.admission.sessions.taken == 1


async def test_an_answer_is_told_as_the_session_says_it(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    poller = StrayPoller(http, one, two)
    await poller.open()
    await poller.post("40")

    async with http.get(poller.url, headers={"Origin": ORIGIN}) as response:
        assert response.headers["Cache-Control"] == "no-store, no-transform"
        assert response.headers["Content-Type"] == "text/plain; charset=UTF-8"
        # These are of the node that the page spoke with, once.
        assert response.headers.getall("Access-Control-Allow-Origin") == [ORIGIN]
        assert response.headers.getall("Content-Length") == [str(len(await response.read()))]
        assert "X-Pitboss-Poll" not in response.headers


async def test_a_kept_alive_connection_mixes_sessions(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    one, two = nodes
    stray, local = StrayPoller(http, one, two), Poller(http, two.url)
    await stray.join()
    await local.join()

    async with raw(two.port) as socket:
        for number in range(3):
            for poller in (stray, local):
                assert await _request(socket, poller, f'42{number}["echo",{number}]') == "ok"
                assert await _request(socket, poller) == f"43{number}[{number}]"
    assert one.application.events == two.application.events


async def _request(socket: RawSocket, poller: Poller, body: str | None = None) -> str:
    """One request of a session over a connection that others use, too."""
    path = poller.url[poller.url.index("/socket.io/") :]
    method = "GET" if body is None else "POST"
    text = body or ""
    socket.send(
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
    )
    head = (await socket.head()).lower()
    assert head.startswith(b"http/1.1 200 "), head
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    return (await socket.reader.readexactly(length)).decode()


async def test_a_poll_that_waits_elsewhere_is_answered_when_there_is_something(
    nodes: tuple[Member, Member], poller: StrayPoller
) -> None:
    one, _two = nodes
    [socket] = one.application.sockets
    waiting = asyncio.create_task(poller.get())
    await one.until(lambda: socket.connection.writable)
    socket.emit("late", "x" * 500_000)

    assert await waiting == (200, '42["late","' + "x" * 500_000 + '"]')


async def test_who_gives_a_poll_up_elsewhere_ends_the_session(
    nodes: tuple[Member, Member], poller: StrayPoller
) -> None:
    one, _two = nodes
    waiting = asyncio.create_task(poller.get())
    await one.until(lambda: one.application.sockets[0].connection.writable)
    waiting.cancel()

    await one.until_ended("transport_closed")
    assert (await poller.get())[0] == 400


async def test_an_answer_that_was_reset_on_its_last_leg_ends_the_session(
    nodes: tuple[Member, Member], poller: StrayPoller
) -> None:
    one, two = nodes
    [socket] = one.application.sockets
    async with raw(two.port) as client:
        socket.emit("n", 1)
        assert await _request(client, poller) == '42["n",1]'
        client.reset()
        await one.until_ended("transport_closed")


async def test_a_connection_that_is_reset_after_a_later_poll_ends_nothing(
    nodes: tuple[Member, Member], poller: StrayPoller
) -> None:
    one, two = nodes
    [socket] = one.application.sockets
    async with raw(two.port) as client:
        socket.emit("n", 1)
        assert await _request(client, poller) == '42["n",1]'
        socket.emit("n", 2)
        assert await poller.get() == (200, '42["n",2]')
        places = two.listener.places.taken
        client.reset()
        await two.until(lambda: two.listener.places.taken < places)
    await two.until(lambda: not two.takeovers._tasks)
    assert one.connections == 1


async def test_the_last_words_of_a_session_come_through(
    nodes: tuple[Member, Member], poller: StrayPoller
) -> None:
    one, _two = nodes
    [socket] = one.application.sockets
    socket.emit("n", 1)
    socket.disconnect(close=True)

    assert await poller.get() == (200, '42["n",1]\x1e1')
    assert (await poller.get())[0] == 400


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "empty_packet"), (b"4abc", "malformed_packet"), (b"4" * 131_073, "too_large")],
)
async def test_a_broken_post_ends_the_session_where_it_is(
    nodes: tuple[Member, Member], poller: StrayPoller, body: bytes, reason: str
) -> None:
    one, _two = nodes

    status, answer = await poller.post(body)

    assert status == 400
    assert json.loads(answer)["error"]["details"]["reason"] == reason
    await one.until(lambda: one.application.ends == [("/", reason)])


async def test_a_post_that_is_given_up_ends_the_session(
    nodes: tuple[Member, Member], poller: StrayPoller
) -> None:
    one, two = nodes
    before = two.server.counters.forwarded
    async with raw(two.port) as client:
        path = poller.url.removeprefix(two.url)
        client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n42".encode())
        await two.until(lambda: two.server.counters.forwarded > before)
    await one.until_ended("transport_closed")


@pytest.mark.parametrize("sid", ["cccccccc" + "x" * 20, TWO + "/x/end%3F", TWO + "x" * 100, TWO])
async def test_a_session_that_cannot_be_is_unknown(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession, sid: str
) -> None:
    one, _two = nodes
    poller = Poller(http, one.url)
    poller.url += f"&sid={sid}"

    status, answer = await poller.get()

    assert status == 400
    assert json.loads(answer)["error"]["details"]["reason"] == "unknown sid"


async def test_a_member_that_does_not_answer_is_unreachable(
    nodes: tuple[Member, Member], poller: StrayPoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _one, two = nodes
    # It takes connections and says nothing.
    taken: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    monkeypatch.setattr(two.takeovers._peers, "_address_of", lambda _member: f"127.0.0.1:{port}")
    monkeypatch.setattr(two.takeovers, "_poll_s", 0.05)
    monkeypatch.setattr(takeover, "ASK_S", 0.05)

    for status, answer in (await poller.get(), await poller.post("40")):
        assert status == 503
        assert json.loads(answer)["error"]["code"] == "unreachable"
    silent.close()
    for writer in taken:
        writer.close()
    assert (await poller.get())[0] == 503


def shown(what: str, sid: str = "x", secret: str = SECRET, late_s: float = 0.0) -> dict[str, str]:
    """What a member shows with a request that has no body."""
    credential = Credential(secret, lambda: time.time() - late_s)
    return {"Authorization": credential.shown(sid, what, "", b"")}


async def test_the_inner_door_is_for_members_alone(nodes: tuple[Member, Member]) -> None:
    one, _two = nodes
    async with aiohttp.ClientSession() as http:
        for headers in (
            {},
            {"Authorization": "Pitboss 1 2 3"},
            {"Authorization": "Pitboss é 2 é"},
            shown("poll", secret="another secret"),
        ):
            async with http.post(f"http://{one.inner}/sessions/x/poll", headers=headers) as answer:
                assert answer.status == 403
        for path in ("/", "/socket.io/?EIO=4&transport=polling", "/sessions/x/other"):
            url = f"http://{one.inner}{path}"
            async with http.post(url, headers=shown("other")) as answer:
                assert answer.status == 404


async def test_what_was_overheard_is_good_for_nothing_else(
    nodes: tuple[Member, Member], caplog: pytest.LogCaptureFixture
) -> None:
    one, _two = nodes
    overheard = shown("post", ONE)
    later, earlier = (shown("post", ONE, late_s=s) for s in (2 * MOST_APART_S, -2 * MOST_APART_S))
    url = f"http://{one.inner}/sessions"
    async with aiohttp.ClientSession() as http:
        poller = Poller(http, one.url)
        await poller.join()
        sid, theirs = poller.sid, shown("post", poller.sid)
        for path, headers, body, status in (
            (f"{ONE}/post", overheard, b"", 400),  # as it was: there is no such session
            (f"{ONE}/poll", overheard, b"", 403),
            (f"{ONE}x/post", overheard, b"", 403),
            (f"{ONE}/post", overheard | {"X-Pitboss-Address": "10.0.0.1"}, b"", 403),
            (f"{ONE}/post", later, b"", 403),
            (f"{ONE}/post", earlier, b"", 403),
            (f"{sid}/post", theirs, b"41", 403),
            (f"{sid}/end", shown("end", sid), b"client_closed", 403),
        ):
            async with http.post(f"{url}/{path}", headers=headers, data=body) as answer:
                assert (answer.status, path) == (status, path)
        assert one.connections == 1
    assert caplog.text.count("do the clocks of the nodes differ") == 1


async def test_nothing_is_forwarded_twice(nodes: tuple[Member, Member]) -> None:
    one, two = nodes
    async with aiohttp.ClientSession() as http:
        poller = Poller(http, two.url)
        await poller.join()
        url = f"http://{one.inner}/sessions/{poller.sid}/poll"
        async with http.post(url, headers=shown("poll", poller.sid)) as answer:
            assert answer.status == 400
            assert "unknown sid" in await answer.text()
        assert (one.connections, two.connections) == (0, 1)


async def test_limits_count_the_clients_own_address(http: aiohttp.ClientSession) -> None:
    options = SocketOptions(trusted_proxies=frozenset({ip_network("127.0.0.0/8")}))
    async with two_nodes(options) as (one, two):
        client = {"X-Forwarded-For": "203.0.113.9"}
        poller = StrayPoller(http, one, two)
        await poller.open()
        assert await poller.post("40", headers=client) == (200, "ok")

        # Of its address one request was charged, and of the other member's none.
        packets = one.server.engine.admission._packets._budgets
        left = {address: budget._left for address, budget in packets.items()}
        assert left["203.0.113.9"] == options.max_packets_per_second_per_ip - PACKETS_PER_REQUEST
        assert left.keys() == {"203.0.113.9", "127.0.0.1"}


async def test_session_ids_begin_with_their_member(
    nodes: tuple[Member, Member], http: aiohttp.ClientSession
) -> None:
    for node, name in zip(nodes, (ONE, TWO), strict=True):
        handshake = await Poller(http, node.url).open()
        assert handshake["sid"].startswith(name)
        assert len(handshake["sid"]) == len(name) + 20
