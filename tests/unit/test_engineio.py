"""Engine.IO's encodings and the life of a session, as the specification has them."""

from collections.abc import Callable

import msgspec
import pytest

from protocol import disconnects, engineio
from protocol.bounds import MAX_PACKETS_PER_PAYLOAD
from protocol.disconnects import DisconnectReason, ProtocolViolation
from protocol.engineio import Binary, Handshake, Phase, Received, Session


def test_open_packet_has_the_names_of_the_specification() -> None:
    packet = engineio.encode_open(Handshake("abc", ["websocket"], 25_000, 20_000, 1_000_000))

    assert packet[:1] == engineio.OPEN
    assert msgspec.json.decode(packet[1:]) == {
        "sid": "abc",
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
    }


# The examples of the specification, section "Packet encoding", and their like.
PAYLOADS = [
    ([b"4hello"], b"4hello"),
    ([b"4hello", b"2", b"4world"], b"4hello\x1e2\x1e4world"),
    ([b"4hello", Binary(b"\x01\x02\x03\x04")], b"4hello\x1ebAQIDBA=="),
    ([Binary(b"")], b"b"),
    (["4né€😀".encode()], "4né€😀".encode()),
]


@pytest.mark.parametrize(("packets", "body"), PAYLOADS)
def test_payload_encoding(packets: list[bytes], body: bytes) -> None:
    assert engineio.encode_payload(packets) == body


@pytest.mark.parametrize(("packets", "body"), PAYLOADS)
def test_payload_decoding_keeps_text_and_binary_apart(packets: list[bytes], body: bytes) -> None:
    decoded = engineio.decode_payload(body)

    assert decoded == packets
    assert [type(packet) for packet in decoded] == [type(packet) for packet in packets]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", disconnects.EMPTY_PACKET),
        (b"4a\x1e", disconnects.EMPTY_PACKET),
        (b"\x1e4a", disconnects.EMPTY_PACKET),
        (b"bAQI", disconnects.BAD_BASE64),
        (b"b!!!!", disconnects.BAD_BASE64),
        (b"4\xff\xfe", disconnects.INVALID_TEXT),
        (b"4\xed\xa0\x80", disconnects.INVALID_TEXT),
        (b"\x1e".join([b"2"] * (MAX_PACKETS_PER_PAYLOAD + 1)), disconnects.TOO_MANY_PACKETS),
    ],
)
def test_broken_payloads_have_a_name(body: bytes, reason: DisconnectReason) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        engineio.decode_payload(body)
    assert caught.value.reason is reason


def test_a_payload_may_have_as_many_packets_as_the_bound() -> None:
    body = b"\x1e".join([b"2"] * MAX_PACKETS_PER_PAYLOAD)

    assert len(engineio.decode_payload(body)) == MAX_PACKETS_PER_PAYLOAD


@pytest.mark.parametrize("transport", [engineio.POLLING, engineio.WEBSOCKET])
@pytest.mark.parametrize(
    ("packet", "received"),
    [
        (b"4", Received.MESSAGE),
        (b"4hello", Received.MESSAGE),
        (b"3", Received.PONG),
        (b"3probe", Received.PONG),
        (b"1", Received.CLOSE),
        (b"6", Received.NOTHING),
    ],
)
def test_packets_that_a_client_may_send(transport: str, packet: bytes, received: Received) -> None:
    assert Session(transport).receive(packet) is received


@pytest.mark.parametrize("transport", [engineio.POLLING, engineio.WEBSOCKET])
@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", disconnects.EMPTY_PACKET),
        (b"0{}", disconnects.WRONG_DIRECTION),
        (b"2", disconnects.WRONG_DIRECTION),
        (b"2probe", disconnects.WRONG_DIRECTION),
        (b"5", disconnects.UPGRADE_UNEXPECTED),
        (b"7", disconnects.UNKNOWN_PACKET),
        (b"abc", disconnects.UNKNOWN_PACKET),
        (b"\x00", disconnects.UNKNOWN_PACKET),
    ],
)
def test_packets_that_a_client_must_not_send(
    transport: str, packet: bytes, reason: DisconnectReason
) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        Session(transport).receive(packet)
    assert caught.value.reason is reason


def test_an_upgrade_goes_by_probe_and_upgrade_packet() -> None:
    session = Session(engineio.POLLING)
    phases = [session.phase]

    session.open_candidate()
    phases.append(session.phase)
    session.begin_poll()
    session.end_poll()
    assert session.receive_on_candidate(b"2probe") is Received.PROBE
    phases.append(session.phase)
    assert session.receive_on_candidate(b"5") is Received.UPGRADE
    phases.append(session.phase)

    assert phases == [Phase.POLLING, Phase.UPGRADING, Phase.UPGRADING, Phase.WEBSOCKET]


def test_a_dropped_candidate_leaves_the_session_polling() -> None:
    session = Session(engineio.POLLING)
    session.open_candidate()
    session.receive_on_candidate(b"2probe")

    session.drop_candidate()

    assert session.phase is Phase.POLLING
    session.open_candidate()
    with pytest.raises(ProtocolViolation):
        session.receive_on_candidate(b"5")  # the earlier probe does not count for a new candidate


@pytest.mark.parametrize("packet", [b"", b"2", b"2prob", b"3probe", b"5", b"4hello", b"x"])
def test_a_candidate_begins_with_a_probe(packet: bytes) -> None:
    session = Session(engineio.POLLING)
    session.open_candidate()

    with pytest.raises(ProtocolViolation) as caught:
        session.receive_on_candidate(packet)
    assert caught.value.reason is disconnects.BAD_PROBE


def _upgraded() -> Session:
    session = Session(engineio.POLLING)
    session.open_candidate()
    session.receive_on_candidate(b"2probe")
    session.receive_on_candidate(b"5")
    return session


def _closed() -> Session:
    session = Session(engineio.POLLING)
    assert session.close()
    return session


def _upgrading() -> Session:
    session = Session(engineio.POLLING)
    session.open_candidate()
    return session


def _polled() -> Session:
    session = Session(engineio.POLLING)
    session.begin_poll()
    session.begin_post()
    return session


@pytest.mark.parametrize(
    ("make", "step", "reason"),
    [
        (_polled, Session.begin_poll, disconnects.CONCURRENT_POLL),
        (_polled, Session.begin_post, disconnects.CONCURRENT_POST),
        (_upgraded, Session.begin_poll, disconnects.SESSION_UPGRADED),
        (_upgraded, Session.begin_post, disconnects.SESSION_UPGRADED),
        (_upgraded, Session.open_candidate, disconnects.UPGRADE_REFUSED),
        (_upgrading, Session.open_candidate, disconnects.UPGRADE_REFUSED),
        (_closed, Session.open_candidate, disconnects.UPGRADE_REFUSED),
        (_closed, Session.begin_poll, disconnects.SESSION_CLOSED),
        (_closed, Session.begin_post, disconnects.SESSION_CLOSED),
        (_closed, lambda session: session.receive(b"4"), disconnects.SESSION_CLOSED),
        (
            _closed,
            lambda session: session.receive_on_candidate(b"2probe"),
            disconnects.UPGRADE_REFUSED,
        ),
        (
            lambda: Session(engineio.WEBSOCKET),
            Session.open_candidate,
            disconnects.UPGRADE_REFUSED,
        ),
    ],
)
def test_every_illegal_step_has_a_name(
    make: Callable[[], Session], step: Callable[[Session], object], reason: DisconnectReason
) -> None:
    session = make()
    with pytest.raises(ProtocolViolation) as caught:
        step(session)
    assert caught.value.reason is reason


def test_a_session_closes_once() -> None:
    session = Session(engineio.WEBSOCKET)

    assert session.close()
    assert not session.close()


def test_polls_and_posts_may_follow_one_another() -> None:
    session = Session(engineio.POLLING)
    for _ in range(2):
        session.begin_poll()
        session.begin_post()
        session.end_poll()
        session.end_post()


def test_reasons_are_told_apart_by_their_codes_where_they_are_ours() -> None:
    ours = [reason.close_code for reason in disconnects.REASONS.values()]
    ours = [code for code in ours if code >= 4000]

    assert len(ours) == len(set(ours))
    assert all(1000 <= reason.close_code < 5000 for reason in disconnects.REASONS.values())
    # A close frame has room for 123 bytes of text (RFC 6455, section 5.5).
    assert all(len(reason.message) <= 123 for reason in disconnects.REASONS.values())
