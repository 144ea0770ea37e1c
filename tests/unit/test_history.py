"""What a socket was sent, and what a client that comes back has missed of it."""

from protocol.outgoing import Outgoing
from server.sockets.history import MAX_BYTES, MAX_EVENTS, History

KEPT_S = 165.0
BEGAN = 100


def event(number: int, at_s: float = 0.0, size: int = 10) -> Outgoing:
    outgoing = Outgoing("/", "x", (), number, "e", at_s)
    outgoing.size = size
    return outgoing


def history(*events: Outgoing) -> History:
    made = History(BEGAN, KEPT_S)
    for one in events:
        made.add(one)
    return made


def numbers(missed: list[Outgoing] | None) -> list[int | None] | None:
    return None if missed is None else [one.number for one in missed]


def test_nothing_was_sent_and_nothing_is_missed() -> None:
    assert history().after(None) == []


def test_what_comes_after_the_client_s_newest_is_missed() -> None:
    sent = history(event(101), event(105), event(110))

    assert numbers(sent.after(105)) == [110]
    assert sent.after(110) == []
    assert numbers(sent.after(None)) == [101, 105, 110]


def test_an_offset_from_before_the_socket_means_that_nothing_has_come() -> None:
    sent = history(event(101), event(105))

    assert numbers(sent.after(BEGAN)) == [101, 105]
    assert numbers(sent.after(7)) == [101, 105]


def test_an_offset_that_was_never_sent_to_this_socket_is_not_known() -> None:
    assert history(event(101), event(105)).after(103) is None
    assert history(event(101)).after(999) is None


def test_the_order_is_that_of_sending_whatever_the_numbers_are() -> None:
    sent = history(event(102), event(101), event(103))

    assert numbers(sent.after(102)) == [101, 103]


def test_a_quiet_connection_of_hours_has_missed_nothing() -> None:
    sent = history(event(101, at_s=0), event(102, at_s=10_000))

    assert numbers(sent.after(101)) == [102], "the forgotten one was the client's newest"
    assert numbers(sent.after(102)) == []
    assert sent.after(None) is None, "the forgotten one is missed"


def test_old_events_are_forgotten_and_recent_ones_are_not() -> None:
    sent = history(event(101, at_s=0), event(102, at_s=1), event(103, at_s=KEPT_S + 0.5))

    assert numbers(sent.after(101)) == [102, 103]
    assert sent.after(None) is None


def test_events_are_bounded_in_number() -> None:
    sent = history(*(event(BEGAN + 1 + index) for index in range(MAX_EVENTS + 2)))

    assert sent.after(BEGAN + 1) is None
    missed = sent.after(BEGAN + 2)
    assert missed is not None
    assert len(missed) == MAX_EVENTS


def test_events_are_bounded_in_bytes() -> None:
    half = MAX_BYTES // 2
    sent = history(event(101, size=half), event(102, size=half), event(103, size=1))
    assert numbers(sent.after(101)) == [102, 103]

    sent.add(event(104, size=MAX_BYTES + 1))
    assert sent.after(103) is None
    assert sent.after(104) == []
