"""Engine.IO against whatever bytes there are: round trips, and nothing but named ends."""

from hypothesis import given
from hypothesis import strategies as st

from protocol import engineio
from protocol.disconnects import ProtocolViolation
from protocol.engineio import Binary, Phase, Received, Session

TEXT = st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"]))
PACKETS = st.one_of(
    st.builds(lambda kind, text: (kind + text).encode(), st.sampled_from("0123456"), TEXT),
    st.builds(Binary, st.binary()),
)


@given(st.lists(PACKETS, min_size=1, max_size=20))
def test_payloads_survive_the_round_trip(packets: list[bytes]) -> None:
    decoded = engineio.decode_payload(engineio.encode_payload(packets))

    assert decoded == packets
    assert [type(packet) for packet in decoded] == [type(packet) for packet in packets]


@given(st.binary())
def test_any_bytes_are_a_payload_or_a_named_violation(body: bytes) -> None:
    try:
        packets = engineio.decode_payload(body)
    except ProtocolViolation:
        return
    assert all(packet or isinstance(packet, Binary) for packet in packets)


STEPS = st.one_of(
    st.tuples(st.just("receive"), st.one_of(st.binary(max_size=8), st.sampled_from([b"4", b"5"]))),
    st.tuples(
        st.just("receive_on_candidate"),
        st.one_of(st.binary(max_size=8), st.sampled_from([b"2probe", b"5"])),
    ),
    st.tuples(
        st.sampled_from(
            [
                "open_candidate",
                "drop_candidate",
                "begin_poll",
                "end_poll",
                "begin_post",
                "end_post",
                "close",
            ]
        )
    ),
)


@given(st.sampled_from([engineio.POLLING, engineio.WEBSOCKET]), st.lists(STEPS, max_size=40))
def test_a_session_never_leaves_its_phases_whatever_happens(
    transport: str, steps: list[tuple[str, bytes]]
) -> None:
    session = Session(transport)
    ever_closed = ever_websocket = False
    for name, *arguments in steps:
        try:
            outcome = getattr(session, name)(*arguments)
        except ProtocolViolation:
            outcome = None
        if ever_closed:
            assert session.phase is Phase.CLOSED
        elif ever_websocket:
            assert session.phase in (Phase.WEBSOCKET, Phase.CLOSED)
        if outcome is Received.UPGRADE:
            assert session.phase is Phase.WEBSOCKET
        ever_closed = ever_closed or session.phase is Phase.CLOSED
        ever_websocket = ever_websocket or session.phase is Phase.WEBSOCKET
