"""What a client has missed, by what its former node has written down: cases of the rules."""

from typing import Any

import msgspec
import pytest

from server.cluster.missed import TORN, Entry, Log, Record, Stay, missed

START = 100
ME = "me"


def entry(number: int, room: str = "", **fields: Any) -> tuple[int, Entry]:
    """One event: to a room, or without one to the client."""
    if not room:
        fields.setdefault("pid", ME)
    return number, Entry(START, "/", room, packets=[b"%d" % number], **fields)


def log(*entries: tuple[int, Entry], first: int = START) -> Log:
    made = Log()
    made.add(first, Entry(START))
    for number, one in entries:
        made.add(number, one)
    return made


def record(**changes: Any) -> Record:
    """A client that came at 100 and is in the rooms `a` and `b`."""
    standing = Record(
        member="m",
        epoch="e",
        start=START,
        namespace="/",
        owner="o",
        sid="s",
        began=100,
        floor=0,
        last=None,
        as_of=100,
        stays=[Stay("a", 100), Stay("b", 100)],
    )
    return msgspec.structs.replace(standing, **changes)


def numbers(found: list[Entry] | None) -> list[int] | None:
    return None if found is None else [int(one.packets[0]) for one in found]


def after(number: int | None, of: Log, **changes: Any) -> list[int] | None:
    return numbers(missed(record(**changes), of, ME, number))


STORY = log(entry(101, "a"), entry(102), entry(103, "b"), entry(104, "c"), entry(105, "a"))


@pytest.mark.parametrize(
    ("number", "rest"),
    [
        (None, [101, 102, 103, 105]),
        (50, [101, 102, 103, 105]),
        (100, [101, 102, 103, 105]),
        (101, [102, 103, 105]),
        (103, [105]),
        (105, []),
        (104, None),  # an event of a room that it is not in
        (106, None),  # nobody has told that
    ],
)
def test_what_came_after_the_newest_is_missed(number: int | None, rest: list[int] | None) -> None:
    assert after(number, STORY) == rest


def test_another_namespace_and_another_client_are_not_mine() -> None:
    of = log(entry(101), entry(102, pid="you"), entry(103, "a", skip=ME), entry(104, "a", skip="x"))
    assert after(None, of) == [101, 104]
    assert after(None, of, namespace="/chat") == []
    assert after(103, of) is None


def test_a_room_counts_from_when_it_was_entered_until_it_was_left() -> None:
    of = log(*(entry(number, "a") for number in range(101, 110)))
    assert after(None, of, stays=[Stay("a", 103)]) == [104, 105, 106, 107, 108, 109]
    assert after(None, of, stays=[Stay("a", 102, 104), Stay("a", 107)]) == [103, 104, 108, 109]
    assert after(103, of, stays=[Stay("a", 102, 104), Stay("a", 107)]) == [104, 108, 109]
    assert after(105, of, stays=[Stay("a", 102, 104), Stay("a", 107)]) is None
    assert after(None, of, stays=[]) == []


def test_an_earlier_stay_at_the_same_node_does_not_count() -> None:
    assert after(None, STORY, began=102) == [103, 105]
    assert after(101, STORY, began=102) == [103, 105]


def test_a_log_that_begins_later_knows_only_what_its_record_says() -> None:
    of = log(entry(201, "a"), entry(202), first=200)
    assert after(None, of) is None
    assert after(150, of) is None
    # As of 200 the newest was 150, and so nothing came between.
    assert after(150, of, last=150, as_of=200) == [201, 202]
    assert after(140, of, last=150, as_of=200) is None
    assert after(150, of, last=150, as_of=199) is None
    assert after(None, of, last=None, as_of=201) == [202]
    assert after(201, of, last=150, as_of=200) == [202]


def test_the_entry_that_begins_a_log_is_no_event() -> None:
    of = log(entry(201, "a"), first=200)
    assert after(200, of) is None
    assert after(200, of, last=200, as_of=200) == [201]


def test_a_log_that_was_begun_anew_is_not_the_record_s() -> None:
    assert after(105, STORY, start=99) is None
    assert after(None, Log()) is None


def test_what_was_missed_before_a_floor_is_not_known() -> None:
    assert after(None, STORY, floor=101) is None
    assert after(101, STORY, floor=101) == [102, 103, 105]
    # A client that came from another node, which knows what it was sent.
    assert after(None, STORY, floor=101, last=TORN) is None


def test_what_a_room_has_dropped_is_missed_and_gone() -> None:
    of = log(entry(101, "a"), entry(102, "a", lost=True), entry(103, "a"))
    assert after(101, of) is None
    assert after(102, of) == [103]


# Large rooms: 101 was told to `a`, whose members get it some time later.
@pytest.mark.parametrize(
    ("number", "rest"),
    [
        (102, None),  # has 101 come?
        (103, None),  # the same
        (101, None),  # have 102 and 103 come?
        (104, [105]),  # by then 101 had come to everybody
        (None, [101, 102, 103, 104, 105]),
    ],
)
def test_nobody_knows_what_overtook_an_event_of_a_large_room(
    number: int | None, rest: list[int] | None
) -> None:
    of = log(
        entry(101, "a", sliced=True, low=101),
        entry(102, low=101),
        entry(103, "b", low=101),
        entry(104),
        entry(105, "b"),
    )
    assert after(number, of) == rest


def test_what_was_overtaken_may_be_gone_from_the_log() -> None:
    of = log(entry(202, low=150), entry(203, "a"), entry(204, low=202), first=200)
    assert after(202, of) is None
    assert after(204, of) == []


def test_events_of_one_large_room_keep_their_order() -> None:
    of = log(*(entry(number, "a", sliced=True, low=101) for number in (101, 102, 103)))
    assert after(101, of) == [102, 103]
    assert after(102, of) == [103]


def test_what_others_were_told_meanwhile_does_not_matter() -> None:
    of = log(
        entry(101, "a", sliced=True, low=101),
        entry(102, pid="you", low=101),
        entry(103, "c", low=101),
        entry(104, "a", sliced=True, low=101),
    )
    assert after(101, of) == [104]


def test_who_has_the_newest_of_two_large_rooms_may_lack_the_other() -> None:
    of = log(entry(101, "a", sliced=True, low=101), entry(102, "b", sliced=True, low=101))
    assert after(101, of) is None
    assert after(102, of) is None
    assert after(None, of) == [101, 102]
