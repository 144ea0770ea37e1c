"""Rain: equal shares on the paths of tips, one answer however often it is asked for."""

from typing import Any

import msgspec
import pytest

from actors.decision import Known, Notice
from actors.wallet.commands import ReceiveRain, ReturnRain, SendTip, StartRain
from actors.wallet.facts import (
    RAIN_RECEIVED,
    RAIN_REFUSED,
    RAIN_RETURNED,
    RAIN_SENT,
    TIP_RECEIVED,
)
from actors.wallet.rain import MAX_RECEIVERS
from protocol.bounds import MAX_MINOR
from protocol.commands.rain import RainFell, RainStarted
from protocol.commands.wallet import BalanceOf
from protocol.errors import (
    INSUFFICIENT_BALANCE,
    MALFORMED,
    NOBODY_ACTIVE,
    RAIN_TOO_SMALL,
    REQUEST_MISMATCH,
    UNKNOWN_CURRENCY,
    ErrorKind,
    Failure,
)
from protocol.ids import is_client_made, message_id, settlement_id
from storage.rows import ENTRY_COLUMNS, entry_of, entry_row, message_of, message_row
from tests.support.wallets import Wallets, refusal, request

ALICE, BOB, CAROL, DAVE = 1, 2, 3, 4


def rain(number: int, amount_minor: int, *to: int, currency: str = "PLAY") -> StartRain:
    return StartRain(to, "crash:1", 5, "alice", currency, amount_minor, request(number))


def funded(amount_minor: int = 1_000) -> Wallets:
    wallets = Wallets()
    wallets.fund(ALICE, amount_minor)
    return wallets


def test_each_gets_the_same_and_the_rest_stays() -> None:
    wallets = funded()
    decision = wallets.act(ALICE, rain(1, 100, BOB, CAROL, DAVE))

    assert decision.reply == RainStarted(
        room="crash:1",
        currency="PLAY",
        share=33,
        receivers=3,
        taken=99,
        remainder=1,
        balance=BalanceOf(currency="PLAY", available=901, held=0, seq=4),
    )
    assert [
        (made.seq, made.kind, made.available_delta, made.available_after, made.counterparty)
        for made in decision.facts
    ] == [
        (2, RAIN_SENT, -33, 967, BOB),
        (3, RAIN_SENT, -33, 934, CAROL),
        (4, RAIN_SENT, -33, 901, DAVE),
    ]
    wallets.deliver_all()
    assert [wallets.available(who) for who in (ALICE, BOB, CAROL, DAVE)] == [901, 33, 33, 33]
    assert wallets.entries(BOB)[-1].kind == RAIN_RECEIVED


def test_the_first_row_says_what_all_of_it_was() -> None:
    first, *others = funded().act(ALICE, rain(1, 100, BOB, CAROL)).facts

    assert first.request_id == request(1)
    assert msgspec.json.decode(first.rain) == {
        "room": "crash:1",
        "amount": 100,
        "minutes": 5,
        "receivers": 2,
    }
    assert [made.rain for made in others] == [None]


def test_the_ids_of_later_rows_are_those_of_their_messages() -> None:
    decision = funded().act(ALICE, rain(1, 100, BOB, CAROL, DAVE))

    assert [message.id for message in decision.messages] == [
        message_id(ALICE, seq) for seq in (2, 3, 4)
    ]
    own = [made.request_id for made in decision.facts[1:]]
    assert own == [message_id(ALICE, 3), message_id(ALICE, 4)]
    assert not any(map(is_client_made, own))
    assert not {settlement_id(ALICE, seq) for seq in (2, 3, 4)} & set(own)


def test_the_room_and_the_sender_are_told() -> None:
    balance, fell = funded().act(ALICE, rain(1, 100, BOB, CAROL)).pushes

    assert (balance.room, balance.data.available, balance.data.seq) == ("user:1", 900, 3)
    told = RainFell(room="crash:1", sender="alice", currency="PLAY", share=50, receivers=2)
    assert fell == Notice("crash:1", "rain:fell", told)
    assert msgspec.to_builtins(told)["from"] == "alice"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        # In their order of precedence: each also breaks what can be broken further down.
        (
            StartRain((), "feed", 5, "alice", "XXX", 1_001, message_id(3, 3)),
            MALFORMED,
        ),
        (rain(1, 1_001, currency="XXX"), UNKNOWN_CURRENCY),
        (rain(1, 1, BOB, CAROL, currency="USD"), RAIN_TOO_SMALL),
        (rain(1, 1, BOB, CAROL), RAIN_TOO_SMALL),
        (rain(1, 2, BOB, CAROL, currency="USD"), INSUFFICIENT_BALANCE),
        (rain(1, 1_002, BOB, CAROL), INSUFFICIENT_BALANCE),
        # One cannot be split, and what is taken is covered.
        (rain(1, 1_001, BOB, CAROL), None),
        (rain(1, 2, BOB, CAROL), None),
    ],
)
def test_what_is_refused_in_order(command: StartRain, kind: ErrorKind | None) -> None:
    wallets = funded()

    assert refusal(lambda: wallets.answer(ALICE, command)) is kind
    assert len(wallets.entries(ALICE)) == (1 if kind else 3)


def test_nobody_there_is_refused_unless_it_fell_before() -> None:
    wallets = funded()
    with pytest.raises(Failure) as refused:
        wallets.decide(ALICE, rain(1, 100))
    assert refused.value.kind is NOBODY_ACTIVE
    wallets.state(ALICE).recent.clear()
    with pytest.raises(Known) as known:
        wallets.decide(ALICE, rain(1, 100))

    # The row of a request older than the wallet remembers answers first.
    assert known.value.otherwise is not None
    assert known.value.otherwise.kind is NOBODY_ACTIVE
    assert refusal(lambda: wallets.answer(ALICE, rain(1, 100))) is NOBODY_ACTIVE


@pytest.mark.parametrize("then", [(BOB, CAROL, DAVE), (DAVE,), ()])
def test_a_repeated_rain_has_its_first_answer_whoever_is_there_now(then: tuple[int, ...]) -> None:
    wallets = funded()
    first = wallets.answer(ALICE, rain(1, 100, BOB, CAROL, DAVE))
    wallets.fund(ALICE, 5_000)

    assert wallets.answer(ALICE, rain(1, 100, *then)) == first
    assert len(wallets.entries(ALICE)) == 5


@pytest.mark.parametrize(
    "other",
    [
        rain(1, 101, BOB, CAROL, DAVE),
        rain(1, 100, BOB, CAROL, DAVE, currency="USD"),
        msgspec.structs.replace(rain(1, 100, BOB), room="feed"),
        msgspec.structs.replace(rain(1, 100, BOB), minutes=6),
        SendTip(BOB, "PLAY", 33, request(1)),
    ],
)
def test_other_content_under_the_same_id_is_refused(other: Any) -> None:
    wallets = funded()
    wallets.answer(ALICE, rain(1, 100, BOB, CAROL, DAVE))

    assert refusal(lambda: wallets.answer(ALICE, other)) is REQUEST_MISMATCH


def test_a_tip_is_no_rain() -> None:
    wallets = funded()
    wallets.answer(ALICE, SendTip(BOB, "PLAY", 33, request(1)))

    assert refusal(lambda: wallets.answer(ALICE, rain(1, 33, BOB))) is REQUEST_MISMATCH


def test_a_full_wallet_sends_its_share_back_once() -> None:
    wallets = funded()
    wallets.fund(BOB, MAX_MINOR - 32)
    wallets.act(ALICE, rain(1, 99, BOB, CAROL, DAVE))
    shares = list(wallets.sent)
    wallets.deliver_all()

    refused = wallets.entries(BOB)[-1]
    assert (refused.kind, refused.available_delta) == (RAIN_REFUSED, 0)
    assert wallets.available(BOB) == MAX_MINOR - 32
    assert wallets.entries(ALICE)[-1].kind == RAIN_RETURNED
    assert [wallets.available(who) for who in (ALICE, CAROL, DAVE)] == [934, 33, 33]
    rows = {who: len(wallets.entries(who)) for who in (ALICE, BOB, CAROL, DAVE)}
    for share in shares:
        wallets.deliver(share)
    wallets.deliver_all()
    assert {who: len(wallets.entries(who)) for who in rows} == rows


def test_rain_and_tips_are_families_of_their_own() -> None:
    wallets = funded()
    wallets.act(ALICE, rain(1, 10, BOB))
    wallets.act(ALICE, SendTip(BOB, "PLAY", 10, request(2)))
    assert [type(message.body).__name__ for message in wallets.sent] == [
        "ReceiveRain",
        "ReceiveTip",
    ]
    wallets.deliver_all()

    assert [made.kind for made in wallets.entries(BOB)] == [RAIN_RECEIVED, TIP_RECEIVED]


@pytest.mark.parametrize("body", [ReceiveRain, ReturnRain])
def test_its_messages_can_be_kept_in_the_outbox(body: type[Any]) -> None:
    (message,) = funded().act(ALICE, rain(1, 10, BOB)).messages
    message = msgspec.structs.replace(message, body=body(7, "PLAY", 10, message.id))
    columns = ("message_id", "shard", "kind", "key", "command", "body", "at_ms")

    assert message_of(dict(zip(columns, message_row(message, 3, 9), strict=True))) == message


def test_its_rows_are_read_back_as_they_were() -> None:
    decision = funded().act(ALICE, rain(1, 100, BOB, CAROL))

    for made in decision.facts:
        row = dict(zip(ENTRY_COLUMNS, entry_row(made), strict=True))
        assert entry_of(row) == made


def test_it_falls_on_as_many_as_a_decision_takes() -> None:
    wallets = funded()
    many = tuple(range(2, 2 + MAX_RECEIVERS))
    decision = wallets.act(ALICE, rain(1, 1_000, *many))

    assert len(decision.facts) == len(decision.messages) == MAX_RECEIVERS
    assert decision.reply.share == 20
    with pytest.raises(AssertionError):
        wallets.decide(ALICE, rain(2, 1_000, *many, 99))
    with pytest.raises(AssertionError):
        wallets.decide(ALICE, rain(2, 1_000, ALICE))
