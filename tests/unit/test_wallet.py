"""The wallet's rules: adjustments, tips and their legs, replays, and what is remembered."""

from typing import Any

import pytest

from actors.decision import Known
from actors.wallet.commands import Adjust, ReceiveTip, ReturnTip, SendTip
from actors.wallet.facts import (
    DEPOSIT,
    FAUCET,
    TIP_RECEIVED,
    TIP_REFUSED,
    TIP_RETURNED,
    TIP_SENT,
    WITHDRAWAL,
    Entry,
    SeedPairIssued,
)
from actors.wallet.state import FORGOTTEN_TOGETHER, WalletState, apply
from protocol.bounds import MAX_MINOR, MAX_RECENT_REQUESTS
from protocol.commands.wallet import BalanceOf, GetWallet, Moved, Wallet
from protocol.errors import (
    BALANCE_LIMIT,
    INSUFFICIENT_BALANCE,
    MALFORMED,
    REQUEST_MISMATCH,
    SELF_TRANSFER,
    UNKNOWN_CURRENCY,
    ErrorKind,
)
from protocol.ids import message_id
from tests.support.wallets import KIND, OPERATOR, Wallets, refusal, request, roll

ALICE, BOB = 1, 2
SERVERS = message_id(3, 3)


def adjust(number: int, kind: str, amount_minor: int, currency: str = "PLAY") -> Adjust:
    return Adjust(kind, currency, amount_minor, OPERATOR, request(number))


def tip(number: int, amount_minor: int, to: int = BOB, currency: str = "PLAY") -> SendTip:
    return SendTip(to, currency, amount_minor, request(number))


def funded(amount_minor: int = 1_000) -> Wallets:
    wallets = Wallets()
    wallets.fund(ALICE, amount_minor)
    return wallets


# Balances.


def test_a_wallet_that_never_had_anything() -> None:
    reply = Wallets().answer(ALICE, GetWallet())

    assert reply == Wallet(wallet_id=ALICE, seq=0, balances=[])


def test_balances_are_told_apart_by_currency() -> None:
    wallets = Wallets()
    wallets.fund(ALICE, 500, "USD")
    wallets.fund(ALICE, 7, "BTC")
    wallets.fund(ALICE, 1, "USD")
    reply = wallets.answer(ALICE, GetWallet())

    assert reply.seq == 3
    assert [(b.currency, b.available, b.held) for b in reply.balances] == [
        ("BTC", 7, 0),
        ("USD", 501, 0),
    ]


# Adjustments.


@pytest.mark.parametrize(
    ("kind", "amount", "after"), [(DEPOSIT, 5, 1_005), (FAUCET, 5, 1_005), (WITHDRAWAL, 5, 995)]
)
def test_an_adjustment_is_one_row(kind: str, amount: int, after: int) -> None:
    wallets = funded()
    decision = wallets.act(ALICE, adjust(1, kind, amount))
    (made,) = decision.facts

    assert decision.reply == Moved(
        seq=2,
        kind=kind,
        amount=amount,
        balance=BalanceOf(currency="PLAY", available=after, held=0, seq=2),
    )
    assert (made.kind, made.available_delta, made.available_after) == (kind, after - 1_000, after)
    assert (made.counterparty, made.request_id) == (OPERATOR, request(1))
    assert (made.held_delta, made.held_after, made.bet) == (0, 0, None)
    assert decision.messages == ()
    (push,) = decision.pushes
    assert (push.room, push.event, push.data.available) == ("user:1", "wallet:updated", after)


def test_the_first_entry_brings_a_seed_pair_and_later_ones_do_not() -> None:
    wallets = Wallets()
    first = wallets.act(ALICE, adjust(1, DEPOSIT, 5)).facts
    second = wallets.act(ALICE, adjust(2, DEPOSIT, 5)).facts

    assert [type(fact) for fact in first] == [SeedPairIssued, Entry]
    assert first[0].after_seq == 0
    assert [type(fact) for fact in second] == [Entry]


@pytest.mark.parametrize(
    ("before", "command", "kind"),
    [
        # In their order of precedence: each also breaks what can be broken further down.
        (1_000, Adjust(WITHDRAWAL, "XXX", 1_001, OPERATOR, SERVERS), MALFORMED),
        (1_000, adjust(1, WITHDRAWAL, 1_001, "XXX"), UNKNOWN_CURRENCY),
        (1_000, adjust(1, WITHDRAWAL, 1_001), INSUFFICIENT_BALANCE),
        (1_000, adjust(1, WITHDRAWAL, 1, "USD"), INSUFFICIENT_BALANCE),
        (1_000, adjust(1, WITHDRAWAL, 1_000), None),
        (1_000, adjust(1, DEPOSIT, MAX_MINOR - 1_000), None),
        (1_000, adjust(1, DEPOSIT, MAX_MINOR - 999), BALANCE_LIMIT),
        (1_000, adjust(1, FAUCET, MAX_MINOR - 999), BALANCE_LIMIT),
        (1_000, adjust(1, DEPOSIT, MAX_MINOR, "USD"), None),
        (MAX_MINOR, adjust(1, WITHDRAWAL, MAX_MINOR), None),
        (MAX_MINOR, adjust(1, DEPOSIT, 1), BALANCE_LIMIT),
    ],
)
def test_what_refuses_an_adjustment(before: int, command: Adjust, kind: ErrorKind | None) -> None:
    wallets = funded(before)
    state = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.decide(ALICE, command)) is kind
    assert KIND.snapshot(wallets.state(ALICE)) == state


@pytest.mark.parametrize(
    "other",
    [
        adjust(1, WITHDRAWAL, 5),
        adjust(1, FAUCET, 5),
        adjust(1, DEPOSIT, 6),
        adjust(1, DEPOSIT, 5, "USD"),
        Adjust(DEPOSIT, "PLAY", 5, OPERATOR + 1, request(1)),
        tip(1, 5),
        roll(1, 5),
    ],
    ids=["withdrawal", "faucet", "amount", "currency", "operator", "tip", "bet"],
)
def test_an_adjustment_is_replayed_only_as_it_was(other: Any) -> None:
    wallets = funded()
    first = wallets.answer(ALICE, adjust(1, DEPOSIT, 5))
    wallets.answer(ALICE, adjust(2, DEPOSIT, 5))

    assert wallets.answer(ALICE, adjust(1, DEPOSIT, 5)) == first
    assert refusal(lambda: wallets.answer(ALICE, other)) is REQUEST_MISMATCH
    assert wallets.available(ALICE) == 1_010


# Tips.


def test_a_tip_leaves_at_once_and_arrives_by_message() -> None:
    wallets = funded()
    decision = wallets.act(ALICE, tip(1, 300))
    (sent,), (message,) = decision.facts, decision.messages

    assert (sent.kind, sent.available_delta, sent.available_after) == (TIP_SENT, -300, 700)
    assert (sent.counterparty, sent.request_id) == (BOB, request(1))
    assert message.id == message.body.request_id == message_id(ALICE, sent.seq)  # type: ignore[attr-defined] # a leg has one
    assert (message.kind, message.key) == ("wallet", BOB)
    assert message.body == ReceiveTip(ALICE, "PLAY", 300, message.id)
    assert decision.reply.balance.available == 700
    assert wallets.available(BOB) == 0

    wallets.deliver_all()
    (received,) = wallets.entries(BOB)

    assert (received.kind, received.available_delta) == (TIP_RECEIVED, 300)
    assert (received.counterparty, received.request_id) == (ALICE, message.id)
    assert wallets.available(BOB) == 300


def test_a_receiver_who_never_had_money_gets_a_seed_pair_with_it() -> None:
    wallets = funded()
    wallets.act(ALICE, tip(1, 300))
    wallets.deliver_all()

    assert [type(fact) for fact in wallets.facts[BOB]] == [SeedPairIssued, Entry]
    assert wallets.answer(BOB, roll(1, 300)).stake == 300


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (SendTip(ALICE, "XXX", 1_001, SERVERS), MALFORMED),
        (tip(1, 1_001, to=ALICE, currency="XXX"), UNKNOWN_CURRENCY),
        (tip(1, 1_001, to=ALICE), SELF_TRANSFER),
        (tip(1, 1_001), INSUFFICIENT_BALANCE),
        (tip(1, 1, currency="USD"), INSUFFICIENT_BALANCE),
        (tip(1, 1_000), None),
    ],
)
def test_what_refuses_a_tip(command: SendTip, kind: ErrorKind | None) -> None:
    wallets = funded()
    state = KIND.snapshot(wallets.state(ALICE))

    assert refusal(lambda: wallets.decide(ALICE, command)) is kind
    assert KIND.snapshot(wallets.state(ALICE)) == state


@pytest.mark.parametrize(
    "other",
    [
        tip(1, 301),
        tip(1, 300, to=3),
        tip(1, 300, currency="USD"),
        adjust(1, WITHDRAWAL, 300),
        roll(1, 300),
    ],
    ids=["amount", "receiver", "currency", "withdrawal", "bet"],
)
def test_a_tip_is_replayed_only_as_it_was(other: Any) -> None:
    wallets = funded()
    first = wallets.answer(ALICE, tip(1, 300))

    assert wallets.answer(ALICE, tip(1, 300)) == first
    assert len(wallets.sent) == 1
    assert refusal(lambda: wallets.answer(ALICE, other)) is REQUEST_MISMATCH


def test_a_leg_that_comes_again_changes_nothing() -> None:
    wallets = funded()
    wallets.act(ALICE, tip(1, 300))
    (message,) = wallets.sent
    for _time in range(3):
        assert wallets.deliver(message) is None

    assert len(wallets.entries(BOB)) == 1
    assert wallets.available(BOB) == 300


@pytest.mark.parametrize(("room", "kind"), [(300, TIP_RECEIVED), (299, TIP_REFUSED)])
def test_a_tip_arrives_if_there_is_room(room: int, kind: str) -> None:
    wallets = funded()
    wallets.fund(BOB, MAX_MINOR - room)
    wallets.act(ALICE, tip(1, 300))
    wallets.deliver(wallets.sent[0])

    assert wallets.entries(BOB)[-1].kind == kind


def test_a_tip_without_room_comes_back() -> None:
    wallets = funded()
    wallets.fund(BOB, MAX_MINOR)
    wallets.act(ALICE, tip(1, 300))
    wallets.deliver(wallets.sent.pop())
    refused = wallets.entries(BOB)[-1]
    (back,) = wallets.sent

    assert (refused.kind, refused.available_delta) == (TIP_REFUSED, 0)
    assert refused.available_after == MAX_MINOR
    assert back.body == ReturnTip(BOB, "PLAY", 300, message_id(BOB, refused.seq))
    assert (back.key, back.id) == (ALICE, message_id(BOB, refused.seq))

    wallets.deliver(back)
    wallets.deliver(back)
    returned = wallets.entries(ALICE)[-1]

    assert (returned.kind, returned.available_delta) == (TIP_RETURNED, 300)
    assert (returned.counterparty, returned.request_id) == (BOB, back.id)
    assert wallets.available(ALICE) == 1_000


def test_a_tip_that_neither_has_room_for_waits_until_there_is() -> None:
    wallets = funded()
    wallets.fund(BOB, MAX_MINOR)
    wallets.act(ALICE, tip(1, 300))
    wallets.deliver(wallets.sent.pop())
    (back,) = wallets.sent
    wallets.fund(ALICE, MAX_MINOR - 700)
    rows = len(wallets.entries(ALICE))

    assert refusal(lambda: wallets.deliver(back)) is BALANCE_LIMIT
    assert len(wallets.entries(ALICE)) == rows

    wallets.act(ALICE, adjust(2, WITHDRAWAL, 300))
    wallets.deliver(back)
    assert wallets.available(ALICE) == MAX_MINOR


def test_a_client_cannot_stand_in_for_a_message_that_is_on_its_way() -> None:
    """An id that a client could use first would make the receiver take the leg for known."""
    wallets = funded()
    wallets.act(ALICE, tip(1, 300))
    (message,) = wallets.sent
    wallets.fund(BOB, 10)

    command = Adjust(DEPOSIT, "PLAY", 1, OPERATOR, message.id)
    assert refusal(lambda: wallets.answer(BOB, command)) is MALFORMED
    wallets.deliver(message)
    assert wallets.available(BOB) == 310


# What a wallet remembers.


def test_the_newest_request_ids_are_known_and_older_ones_are_forgotten() -> None:
    wallets = Wallets()
    for number in range(MAX_RECENT_REQUESTS + FORGOTTEN_TOGETHER):
        wallets.act(ALICE, adjust(number, DEPOSIT, 1))

    for number in (FORGOTTEN_TOGETHER, MAX_RECENT_REQUESTS + FORGOTTEN_TOGETHER - 1):
        with pytest.raises(Known):
            wallets.decide(ALICE, adjust(number, DEPOSIT, 1))
    # The oldest is decided as new, and the unique index of the ledger refuses its row.
    for number in (0, FORGOTTEN_TOGETHER - 1):
        assert wallets.decide(ALICE, adjust(number, DEPOSIT, 1)).facts
    assert len(wallets.state(ALICE).recent) == MAX_RECENT_REQUESTS


def test_a_restored_wallet_remembers_no_more_than_a_live_one() -> None:
    wallets = Wallets()
    for number in range(MAX_RECENT_REQUESTS + 10):
        wallets.act(ALICE, adjust(number, DEPOSIT, 1))
    state = KIND.restore(ALICE, KIND.snapshot(wallets.state(ALICE)))

    newest = range(10, MAX_RECENT_REQUESTS + 10)
    assert list(state.recent) == [request(number).int for number in newest]


def test_a_gap_in_the_ledger_is_a_bug() -> None:
    wallets = funded()
    (made,) = wallets.decide(ALICE, adjust(1, DEPOSIT, 5)).facts
    apply(wallets.state(ALICE), made)

    with pytest.raises(AssertionError):
        apply(wallets.state(ALICE), made)


def test_a_fact_of_another_kind_is_a_bug() -> None:
    with pytest.raises(TypeError):
        apply(WalletState(ALICE), "a fact")  # type: ignore[arg-type] # that is what is tested
