"""The live feed's choice: what won most of a moment, the rest counted, both lists bounded."""

from collections.abc import Collection, Mapping
from typing import Any

import pytest

from actors.decision import Decision
from actors.runtime.ports import Write
from actors.wallet.facts import BET, HOLD, RELEASE, REVEAL, SETTLE, Bet, Entry, Step
from protocol.commands.feed import Feed, FeedBet
from protocol.commands.floor import Game
from protocol.errors import OVERLOADED, STORAGE_UNAVAILABLE, Failure
from server import feed
from server.feed import LiveFeed, Moment
from tests.support.wallets import request

MOST = {"USD": 1_000, "BTC": 10_000_000}


class Room:
    """A hub with one room, of which it is known whether anyone is inside."""

    def __init__(self) -> None:
        self.watched = True
        self.told: list[Any] = []

    def occupied(self, _namespace: str, room: str) -> bool:
        assert room == feed.ROOM
        return self.watched

    def emit(self, _namespace: str, room: str, event: str, data: Any) -> None:
        assert (room, event) == (feed.ROOM, "feed:joined")
        if self.watched:
            self.told.append(data)


class Names:
    """Look-ups of names."""

    def __init__(self) -> None:
        self.asked: list[set[int]] = []
        self.broken = False

    async def __call__(self, users: Collection[int]) -> Mapping[int, str]:
        if self.broken:
            raise Failure(STORAGE_UNAVAILABLE)
        self.asked.append(set(users))
        return {user: f"player{user}" for user in users}


class Stage:
    """A feed and its surroundings."""

    def __init__(self) -> None:
        self.room = Room()
        self.names = Names()
        self.feed = LiveFeed(self.room, self.names, MOST)  # type: ignore[arg-type]  # a twin
        self.count = 0

    def entry(self, payout: int, *, stake: int = 100, currency: str = "USD", who: int = 1) -> Entry:
        self.count += 1
        bet = Bet("dice", stake, payout, 1, self.count, "{}", "{}")
        return Entry(
            who,
            self.count,
            currency,
            BET,
            payout - stake,
            0,
            1_000,
            0,
            None,
            request(self.count),
            1_000 + self.count,
            bet,
        )

    def commit(self, *facts: Any) -> None:
        """One commit with a write for each fact."""
        self.feed.committed([write(Decision(None, (fact,))) for fact in facts])

    def payouts(self) -> list[list[int]]:
        return [[bet.payout for bet in joined.bets] for joined in self.room.told]


def write(outcome: Any) -> Write:
    nobody: Any = None
    return Write(nobody, None, nobody, outcome, False)


async def test_a_moment_is_told_once_in_order() -> None:
    stage = Stage()
    stage.commit(stage.entry(0), stage.entry(198))
    stage.commit(stage.entry(0, who=2))
    await stage.feed.tell()
    await stage.feed.tell()

    assert stage.payouts() == [[0, 198, 0]]
    assert [bet.player for bet in stage.room.told[0].bets] == ["player1", "player1", "player2"]
    assert stage.room.told[0].skipped == 0
    assert stage.room.told[0].bets[1].multiplier == 198


async def test_of_many_those_are_told_that_won_most() -> None:
    stage = Stage()
    payouts = [0, 50, 300, 10, 20, 0, 400, 30, 0, 500]
    stage.commit(*(stage.entry(payout) for payout in payouts))
    await stage.feed.tell()

    assert stage.payouts() == [[50, 300, 400, 30, 500]]
    assert stage.room.told[0].skipped == len(payouts) - feed.MOST_OF_MOMENT


async def test_currencies_are_compared_by_their_highest_stakes() -> None:
    stage = Stage()
    # 500 is half of the highest stake in USD, 4,000,000 two fifths of that in BTC.
    for payout, currency in ((500, "USD"), (4_000_000, "BTC"), (2**50, "PLAY")):
        stage.commit(stage.entry(payout, currency=currency))
    await stage.feed.tell()

    assert [bet.currency for bet in stage.feed.shown().high] == ["USD", "BTC", "PLAY"]


@pytest.mark.parametrize(
    ("kind", "step", "payout"),
    [
        (HOLD, Step("crash", 100, parameters="{}"), None),
        (REVEAL, Step("mines", outcome='{"tile":1}', hold=1), None),
        (RELEASE, Step("crash", 100, outcome="{}", hold=1), None),
        (SETTLE, Step("mines", 100, 0, outcome="{}", hold=1), 0),
        (SETTLE, Step("crash", 100, 150, outcome="{}", hold=1), 150),
    ],
)
async def test_a_held_stake_is_told_when_it_is_settled(
    kind: str, step: Step, payout: int | None
) -> None:
    stage = Stage()
    stage.commit(Entry(1, 2, "USD", kind, 0, 0, 0, 0, None, request(1), 5, None, step))
    await stage.feed.tell()

    assert stage.payouts() == ([] if payout is None else [[payout]])


async def test_what_is_no_bet_is_passed_by() -> None:
    stage = Stage()
    stage.commit(Entry(1, 1, "USD", "deposit", 5, 0, 5, 0, 9, request(1), 5), object())
    stage.feed.committed([write(Failure(OVERLOADED)), write(Decision("a reading"))])
    await stage.feed.tell()

    assert stage.room.told == []


async def test_while_nobody_watches_a_sample_keeps_the_lists_fresh() -> None:
    stage = Stage()
    stage.room.watched = False
    stage.commit(*(stage.entry(payout) for payout in (100, 200, 300)))
    await stage.feed.tell()

    assert [bet.payout for bet in stage.feed.shown().recent] == [300]


async def test_the_lists_are_bounded() -> None:
    stage = Stage()
    for payout in range(1, 101):
        stage.commit(stage.entry(payout))
        await stage.feed.tell()
    shown = stage.feed.shown()

    assert [bet.payout for bet in shown.recent] == list(range(100, 100 - feed.MAX_RECENT, -1))
    assert [bet.payout for bet in shown.high] == list(range(100, 100 - feed.MAX_HIGH, -1))


async def test_losses_are_never_high_and_yesterday_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "HIGH_FOR_MS", 2)
    stage = Stage()
    for payout in (900, 800, 0, 100):
        stage.commit(stage.entry(payout))
        await stage.feed.tell()

    # The first two were settled three and two milliseconds before the last.
    assert [bet.payout for bet in stage.feed.shown().high] == [100]


async def test_names_are_looked_up_once_and_kept_boundedly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "MAX_NAMES", 2)
    stage = Stage()
    for who in (1, 2, 1, 3, 2, 1):
        stage.commit(stage.entry(0, who=who))
        await stage.feed.tell()

    assert stage.names.asked == [{1}, {2}, {3}, {1}]
    assert len(stage.feed._names) == 2
    assert all(told.bets[0].player for told in stage.room.told)


async def test_a_name_that_is_forgotten_with_this_moment_is_still_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "MAX_NAMES", 1)
    stage = Stage()
    stage.commit(stage.entry(0, who=1))
    await stage.feed.tell()
    stage.commit(stage.entry(0, who=1), stage.entry(0, who=2))
    await stage.feed.tell()

    assert [bet.player for bet in stage.room.told[1].bets] == ["player1", "player2"]


async def test_what_cannot_be_named_is_counted() -> None:
    stage = Stage()
    stage.names.broken = True
    stage.commit(stage.entry(100))
    with pytest.raises(Failure):
        await stage.feed.tell()
    stage.names.broken = False
    stage.commit(stage.entry(200))
    await stage.feed.tell()

    assert stage.payouts() == [[200]]
    assert stage.room.told[0].skipped == 1


# Several nodes.


def seen(payout: int, *, at_ms: int = 5_000, player: str = "zoe") -> FeedBet:
    """A bet as another node tells of it."""
    return FeedBet(player, Game.LIMBO, "USD", 100, payout, payout, at_ms)


def far(*payouts: int, skipped: int = 0, watched: bool = False) -> Moment:
    return Moment(watched, [seen(payout) for payout in payouts], skipped)


async def test_the_moments_of_all_nodes_are_told_as_one() -> None:
    stage = Stage()
    stage.feed.heard(far(10, 20, 30, skipped=7))
    stage.commit(*(stage.entry(payout) for payout in (5, 25, 35)))
    stage.feed.heard(far(1, 40))
    await stage.feed.tell()
    await stage.feed.tell()

    # Those here were settled earlier.
    assert stage.payouts() == [[25, 35, 20, 30, 40]]
    assert stage.room.told[0].skipped == 7 + 3
    assert [bet.payout for bet in stage.feed.shown().high] == [40, 35, 30, 25, 20]
    assert stage.room.told[0].bets[-1].player == "zoe"


async def test_what_is_heard_waits_for_names_that_cannot_be_looked_up() -> None:
    stage = Stage()
    stage.names.broken = True
    stage.feed.heard(far(10))
    stage.commit(stage.entry(100))
    with pytest.raises(Failure):
        await stage.feed.tell()
    await stage.feed.tell()

    assert stage.payouts() == [[10]]


async def test_others_are_told_what_was_kept_here_alone() -> None:
    stage = Stage()
    told: list[Moment] = []
    stage.feed.share(told.append)
    stage.room.watched = False
    stage.feed.heard(far(900))
    stage.commit(stage.entry(100))
    await stage.feed.tell()
    stage.feed.heard(far(800))
    await stage.feed.tell()

    assert [[bet.payout for bet in moment.bets] for moment in told] == [[100]]
    assert (told[0].watched, told[0].skipped) == (False, 0)


async def test_who_is_watched_says_so_now_and_then_and_is_believed_for_a_while() -> None:
    here, there = Stage(), Stage()
    told: list[Moment] = []
    here.feed.share(told.append)
    there.room.watched = False
    for _ in range(2 * feed.SAY_AGAIN):
        await here.feed.tell()
    assert told == [Moment(True, [], 0)] * 2

    told.clear()
    there.feed.share(told.append)
    there.feed.heard(Moment(True, [], 0))
    for _ in range(feed.BELIEVED + 1):
        there.commit(*(there.entry(payout) for payout in (100, 200, 300)))
        await there.feed.tell()
    # At last only a sample again.
    assert [len(moment.bets) for moment in told] == [3] * feed.BELIEVED + [1]


async def test_a_node_of_another_mind_tells_no_more_than_fits() -> None:
    stage = Stage()
    stage.feed.heard(far(*range(1, 100)))
    await stage.feed.tell()

    assert len(stage.room.told[0].bets) == feed.MOST_OF_MOMENT


async def test_lists_join_without_telling_a_bet_twice() -> None:
    stage, other = Stage(), Stage()
    for number in range(30):
        moment = Moment(False, [seen(number, at_ms=5_000 + number)], 0)
        for one in (stage, other):
            if one is other or number % 2:
                one.feed.heard(moment)
                await one.feed.tell()
    stage.feed.join_lists(other.feed.shown())
    stage.feed.join_lists(other.feed.shown())

    assert stage.feed.shown() == other.feed.shown()
    stage.feed.join_lists(Feed(recent=[], high=[]))
    assert stage.feed.shown() == other.feed.shown()


async def test_a_bet_of_joined_lists_is_told_and_joins_them_once() -> None:
    stage, other = Stage(), Stage()
    for one in (stage, other):
        one.feed.heard(far(10, 20))
    await other.feed.tell()
    stage.feed.join_lists(other.feed.shown())
    await stage.feed.tell()

    assert stage.payouts() == [[10, 20]]
    assert stage.feed.shown() == other.feed.shown()
