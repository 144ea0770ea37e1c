"""What a socket was sent, and what a client that comes back has missed of it."""

from protocol.outgoing import Outgoing
from server.sockets.history import Bounds, History, Shelf

BOUNDS = Bounds(kept_s=165.0, packets=1_000, bytes=100_000, total_bytes=150_000)
BEGAN = 100


def event(number: int, at_s: float = 0.0, size: int = 10, packets: int = 1) -> Outgoing:
    outgoing = Outgoing("/", "x", (), number, "e", at_s)
    outgoing.size, outgoing.packets = size, packets
    return outgoing


def history(*events: Outgoing, shelf: Shelf | None = None) -> History:
    made = History(BEGAN, shelf or Shelf(BOUNDS))
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
    sent = history(event(101, at_s=0), event(102, at_s=1), event(103, at_s=BOUNDS.kept_s + 0.5))

    assert numbers(sent.after(101)) == [102, 103]
    assert sent.after(None) is None

    sent.forget_before(2)
    assert numbers(sent.after(102)) == [103]
    assert sent.after(101) is None


def test_events_are_bounded_in_packets() -> None:
    sent = history(*(event(BEGAN + 1 + index) for index in range(BOUNDS.packets + 2)))
    assert sent.after(BEGAN + 1) is None
    missed = sent.after(BEGAN + 2)
    assert missed is not None
    assert len(missed) == BOUNDS.packets

    sent.add(event(5_000, packets=BOUNDS.packets - 1))
    assert len(sent.after(BEGAN + BOUNDS.packets + 1) or ()) == 2


def test_events_are_bounded_in_bytes() -> None:
    half = BOUNDS.bytes // 2
    sent = history(event(101, size=half), event(102, size=half), event(103, size=1))
    assert numbers(sent.after(101)) == [102, 103]

    sent.add(event(104, size=BOUNDS.bytes + 1))
    assert sent.after(103) is None
    assert sent.after(104) == []


def test_all_histories_are_bounded_together_and_what_they_share_counts_once() -> None:
    shelf = Shelf(BOUNDS)
    shared = event(101, size=BOUNDS.bytes)
    several = [history(shared, shelf=shelf) for _ in range(5)]
    assert shelf.bytes == BOUNDS.bytes

    own = event(102, size=BOUNDS.total_bytes - BOUNDS.bytes + 1)
    several[0].add(own)
    assert several[0].after(101) is None, "who asks for too much keeps nothing"
    assert several[0].after(102) == []
    assert several[1].after(None) == [shared]
    for one in several:
        one.clear()
    assert shelf.bytes == 0


def test_the_newest_is_known_also_when_it_is_forgotten() -> None:
    sent = history()
    seen = [sent.newest]
    sent.add(event(101))
    sent.add(event(102, at_s=1))
    seen.append(sent.newest)
    sent.forget_before(10_000)
    seen.append(sent.newest)
    sent.tear()
    assert [*seen, sent.newest] == [None, 102, 102, -1]


def test_a_gap_cannot_be_bridged() -> None:
    sent = history(event(101), event(102))
    sent.tear()
    assert sent.after(None) is None
    assert sent.after(102) is None

    sent.add(event(104))
    sent.add(event(105))
    assert sent.after(102) is None
    assert numbers(sent.after(104)) == [105]
