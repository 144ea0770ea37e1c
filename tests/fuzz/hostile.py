"""What hostile peers do: scripts that a seed plays. The network decides what comes of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Final

from tests.fuzz import grammar
from tests.fuzz.house import MAX_PAYLOAD_BYTES, OPTIONS
from tests.fuzz.mutations import mutate
from tests.fuzz.peer import Peer, broken_frame, in_fragments
from tests.sockets.raw import BINARY, CONTINUATION, PING, PONG, TEXT, frame, upgrade_request

# They come from a few addresses, so that what is counted by address is reached too.
_ADDRESSES: Final = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
_SID: Final = re.compile(rb'"sid":"([^"]+)"')
# Longer than every time-out of the server: a peer that waits sees them all.
_LIFE_S: Final = 2.5
_AUTHS: Final = (
    b"",
    b'{"wait":true}',
    b'{"token":"wrong"}',
    b'{"recover":true}',
    b'{"pid":"x"}',
    b"[]",
)
_WORDS: Final = (b"join", b"leave", b"say", b"dismiss", b"kick", b"echo")


class Gang:
    """The peers of one round. They tell each other the session ids they get."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.peers: list[Peer] = []
        self.played: list[str] = []
        self.sids: list[str] = ["unknown"]

    async def play(self, rng: Random) -> None:
        """Play one script to its end, or for as long as a peer may live."""
        script = rng.choice(SCRIPTS)
        self.played.append(script.__name__)
        with suppress(TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_LIFE_S):
                await script(self, rng)

    async def connect(self, rng: Random) -> Peer:
        """A new network connection."""
        address = (rng.choice(_ADDRESSES), 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=address)
        self.peers.append(Peer(rng, reader, writer))
        return self.peers[-1]

    def leave(self) -> None:
        """Cut every connection that is still there."""
        for peer in self.peers:
            peer.raw.writer.transport.abort()

    def learn(self, answer: bytes) -> str:
        """The session id in an answer; a stranger's where there is none."""
        match = _SID.search(answer)
        if match is None:
            return self.sids[-1]
        self.sids = [*self.sids[-50:], match[1].decode()]
        return self.sids[-1]


Script = Callable[[Gang, Random], Awaitable[None]]


async def _joined(gang: Gang, rng: Random) -> Peer:
    """A WebSocket whose peer has asked for a namespace, and usually waited for the answer."""
    peer = await gang.connect(rng)
    gang.learn(await peer.upgrade())
    peer.push(frame(TEXT, b"40" + rng.choice(_AUTHS)))
    if rng.random() < 0.8:
        await peer.answer()
    return peer


async def breaks_frames(gang: Gang, rng: Random) -> None:
    """Well-formed and mutated packets in right and wrong frames, in any order."""
    peer = await _joined(gang, rng)
    for _ in range(rng.choice((1, 5, 30))):
        case = grammar.packet(rng, rng.choice(("/", "/", None)))
        if rng.random() < 0.3:
            case = mutate(rng, case, grammar.packet(rng))
        for index, part in enumerate(case):
            payload = part[:MAX_PAYLOAD_BYTES]
            right = frame(BINARY if index else TEXT, payload)
            await peer.send(broken_frame(rng, payload) if rng.random() < 0.1 else right)
    await peer.end()


async def fragments(gang: Gang, rng: Random) -> None:
    """Messages in fragments, control frames between them, some never finished."""
    peer = await _joined(gang, rng)
    if rng.random() < 0.2:
        peer.push(frame(CONTINUATION, b"4", fin=rng.random() < 0.5))
    for _ in range(rng.choice((1, 4))):
        payload = grammar.packet(rng, "/")[0] * rng.choice((1, 1, 50))
        await peer.send(in_fragments(rng, rng.choice((TEXT, BINARY)), payload))
    await peer.wait(0.2)
    await peer.end()


async def at_the_limits(gang: Gang, rng: Random) -> None:
    """Messages just under, at and just over the bound, whole and in fragments."""
    peer = await _joined(gang, rng)
    for _ in range(rng.choice((1, 3))):
        size = MAX_PAYLOAD_BYTES + rng.choice((-1, 0, 0, 1, 2, 125))
        text = b'42["echo","' + b"x" * (size - 13) + b'"]'
        whole = rng.random() < 0.5
        await peer.send(frame(TEXT, text) if whole else in_fragments(rng, TEXT, text))
    await peer.answer()
    await peer.end()


async def half_a_frame(gang: Gang, rng: Random) -> None:
    """Part of a frame, and silence."""
    peer = await _joined(gang, rng)
    wire = frame(rng.choice((TEXT, BINARY, PING)), b"4" * rng.choice((10, 125, 10_000)))
    await peer.send(wire[: rng.randrange(1, len(wire))])
    await peer.wait(_LIFE_S)
    await peer.end()


async def attachments(gang: Gang, rng: Random) -> None:
    """Too few, too many and other people's attachments, with text and pings in between."""
    peer = await _joined(gang, rng)
    for _ in range(rng.choice((1, 3))):
        wanted = rng.randrange(12)
        holes = b",".join(b'{"_placeholder":true,"num":%d}' % n for n in range(wanted))
        await peer.send(frame(TEXT, b'45%d-1["echo",[%b]]' % (wanted, holes)))
        for _ in range(max(0, wanted + rng.choice((-2, 0, 0, 0, 1)))):
            await peer.send(frame(BINARY, rng.randbytes(rng.choice((0, 1, 5_000)))))
            if rng.random() < 0.1:
                await peer.send(frame(rng.choice((PONG, TEXT)), b'42["echo"]'))
    await peer.end()


async def slow_handshake(gang: Gang, rng: Random) -> None:
    """A first request byte by byte, or only its beginning."""
    peer = await gang.connect(rng)
    head = rng.choice((upgrade_request(), b"POST / HTTP/1.1\r\n", grammar.upgrade_head(rng)[0]))
    for start in range(rng.randrange(len(head))):
        peer.push(head[start : start + 1])
        await peer.wait(0.03)
    await peer.wait(1.0)
    await peer.end()


async def strange_requests(gang: Gang, rng: Random) -> None:
    """Mutated heads, pipelined with other requests, and frames before the answer."""
    peer = await gang.connect(rng)
    for _ in range(rng.choice((1, 1, 3, 12))):
        head = grammar.upgrade_head(rng)
        if rng.random() < 0.5:
            head = mutate(rng, head, grammar.upgrade_head(rng))
        end = rng.choice((b"\r\n\r\n", b"\r\n\r\n", b"\n\n", b"\r\n"))
        await peer.send(head[0] + end + frame(TEXT, b"40"))
    await peer.answer()
    await peer.end()


async def polls(gang: Gang, rng: Random) -> None:
    """A session that polls wrongly: twice at a time, in broken bodies, with pieces missing."""
    opening = await gang.connect(rng)
    sid = gang.learn(await opening.request("GET", ""))
    await opening.request("POST", f"&sid={sid}", b"40" + rng.choice(_AUTHS))
    for _ in range(rng.choice((1, 3, 8))):
        peer = rng.choice((opening, await gang.connect(rng)))
        kind = rng.randrange(5)
        if kind == 0:
            peer.push(f"GET /socket.io/?EIO=4&transport=polling&sid={sid}".encode())
            await peer.send(b" HTTP/1.1\r\nHost: test\r\n\r\n")
        elif kind == 1:
            await peer.request("GET", f"&sid={sid}")
        else:
            body = rng.choice((grammar.payload(rng), mutate(rng, grammar.payload(rng), (b"1",))))[0]
            await peer.request("POST", f"&sid={sid}", body[:MAX_PAYLOAD_BYTES], _length(rng, body))
        if rng.random() < 0.3:
            await peer.end()
    await opening.end()


def _length(rng: Random, body: bytes) -> str:
    """What a request says of its body's length, rightly or wrongly."""
    if rng.random() < 0.7:
        return ""
    length = rng.choice((len(body) + 1, 0, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES + 1, 2**64, -1))
    return rng.choice((f"Content-Length: {length}\r\n", "Transfer-Encoding: chunked\r\n"))


async def slow_body(gang: Gang, rng: Random) -> None:
    """A POST whose body comes too slowly, or not to its end."""
    peer = await gang.connect(rng)
    sid = gang.learn(await peer.request("GET", ""))
    poll = await gang.connect(rng)
    poll.push(f"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\n\r\n".encode())
    target = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
    peer.push(f"POST {target} HTTP/1.1\r\nHost: t\r\nContent-Length: 50\r\n\r\n".encode())
    for _ in range(rng.randrange(50)):
        peer.push(b"6")
        await peer.wait(0.05)
    await poll.end()
    await peer.end()


async def upgrades(gang: Gang, rng: Random) -> None:
    """An upgrade in the middle of polls, with wrong probes, two candidates, and any end."""
    polling = await gang.connect(rng)
    sid = gang.learn(await polling.request("GET", ""))
    await polling.request("POST", f"&sid={sid}", b"40")
    if rng.random() < 0.7:
        polling.push(f"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\n".encode())
        await polling.send(b"Host: test\r\n\r\n")
    candidates = [await gang.connect(rng) for _ in range(rng.choice((1, 1, 2)))]
    for candidate in candidates:
        await candidate.upgrade(f"EIO=4&transport=websocket&sid={sid}")
    order = [b"2probe", b"5", b'421["echo",1]', b"3"]
    if rng.random() < 0.5:
        rng.shuffle(order)
    for packet in order[: rng.randint(0, len(order))]:
        opcode = BINARY if rng.random() < 0.05 else TEXT
        await rng.choice(candidates).send(frame(opcode, packet))
        await polling.wait(0.05)
    if rng.random() < 0.5:
        await polling.request("GET", f"&sid={sid}")
    for peer in rng.sample([polling, *candidates], 1 + len(candidates)):
        await peer.end()
        await peer.wait(0.1)


async def stranger(gang: Gang, rng: Random) -> None:
    """Requests with the session ids of others."""
    peer = await gang.connect(rng)
    sid = rng.choice(gang.sids)
    kind = rng.randrange(3)
    if kind == 0:
        await peer.upgrade(f"EIO=4&transport=websocket&sid={sid}")
        await peer.send(frame(TEXT, b"2probe"))
        await peer.send(frame(TEXT, rng.choice((b"5", b"4", b"2probe"))))
    else:
        await peer.request(("GET", "POST")[kind - 1], f"&sid={sid}", b"6" * (kind - 1))
    await peer.wait(0.1)
    await peer.end()


async def never_reads(gang: Gang, rng: Random) -> None:
    """A peer that asks for much and reads nothing."""
    peer = await _joined(gang, rng)
    peer.raw.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a socket's
    for _ in range(3):
        await peer.send(frame(TEXT, b'42["flood"]'))
        await peer.send(frame(TEXT, b'421["echo","' + b"x" * 15_000 + b'"]'))
        await peer.send(frame(PING, b"x" * 125) * rng.choice((1, 100)))
    await peer.wait(_LIFE_S)
    await peer.end()


async def floods(gang: Gang, rng: Random) -> None:
    """Far more packets in a second than are let through."""
    peer = await _joined(gang, rng)
    packet = rng.choice((b"3", b"6", b'42["echo"]', b'42["say","x"]', b"40/nobody,", b"41"))
    await peer.send(frame(TEXT, packet) * (OPTIONS.max_packets_per_second + 50))
    await peer.wait(0.1)
    await peer.end()


async def moves_about(gang: Gang, rng: Random) -> None:
    """Namespaces asked for, left and asked for again, rooms joined, and all kinds of ends."""
    peer = await _joined(gang, rng)
    for _ in range(rng.choice((3, 20))):
        where = rng.choice((b"", b"/chat,", b"/nobody,"))
        kind = rng.randrange(4)
        if kind == 0:
            packet = b"40" + where + rng.choice(_AUTHS)
        elif kind == 1:
            packet = b"41" + where
        else:
            packet = b'42%b["%b","room %d"]' % (where, rng.choice(_WORDS), rng.randrange(300))
        await peer.send(frame(TEXT, packet))
        await peer.wait(rng.choice((0, 0.02)))
    await peer.end()


async def speaks_msgpack(gang: Gang, rng: Random) -> None:
    """Binary messages from the start: well-formed and mutated packets of the other parser."""
    peer = await gang.connect(rng)
    await peer.upgrade()
    nsp = b"\x82\xa4type\x00\xa3nsp\xa1/"
    await peer.send(frame(BINARY, nsp))
    await peer.answer()
    for _ in range(rng.choice((1, 5, 20))):
        case = grammar.msgpack_packet(rng)
        if rng.random() < 0.3:
            case = mutate(rng, case, grammar.msgpack_packet(rng))
        await peer.send(frame(BINARY, case[0][:MAX_PAYLOAD_BYTES]))
    await peer.end()


async def says_broken_text(gang: Gang, rng: Random) -> None:
    """Text that is not UTF-8, for everybody in the room."""
    peer = await _joined(gang, rng)
    text = b'42["say","%b"]' % rng.choice((b"\xff", b"\xed\xa0\x80", b"\xf0\x9f", b"\xc0\x80"))
    await peer.send(rng.choice((frame(TEXT, text), in_fragments(rng, TEXT, text))))
    await peer.answer()
    await peer.end()


async def crowds(gang: Gang, rng: Random) -> None:
    """More connections than an address may have."""
    peers = [await gang.connect(rng) for _ in range(rng.choice((5, 40)))]
    for peer in peers:
        peer.push(rng.choice((upgrade_request(), b"GET / HTTP/1.1\r\n", b"\x16\x03\x01")))
    await peers[0].wait(0.3)
    for peer in peers:
        await peer.end()


async def leaves_anywhere(gang: Gang, rng: Random) -> None:
    """A right client, cut off at any moment."""
    peer = await _joined(gang, rng)
    steps = (b'421["echo",1]', b'451-2["echo",{"_placeholder":true,"num":0}]', b"\xff", b"41")
    for step in steps[: rng.randint(0, len(steps))]:
        wire = frame(BINARY if step == b"\xff" else TEXT, step)
        await peer.send(wire if rng.random() < 0.8 else wire[:-1])
    await peer.end()


SCRIPTS: Final[tuple[Script, ...]] = (
    breaks_frames, breaks_frames, fragments, at_the_limits, half_a_frame, attachments,
    slow_handshake, strange_requests, polls, polls, slow_body, upgrades, upgrades, stranger,
    never_reads, floods, moves_about, speaks_msgpack, says_broken_text, crowds, leaves_anywhere,
)  # fmt: skip
