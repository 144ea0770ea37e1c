"""How wallets stake on crash rounds, and how a hold of theirs ends: once."""

from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from actors.crash.commands import Join, StakeCrash
from actors.decision import DEFERRED, Known
from actors.wallet import state as wallet_state
from actors.wallet.commands import ReleaseHold, SettleHold
from protocol.bounds import MAX_MINOR
from protocol.commands.limits import Exclude
from protocol.errors import ALREADY_IN_ROUND, ROUND_OVER, Failure
from protocol.ids import message_id, settlement_id
from tests.support.wallets import Wallets, refusal, request, roll

ANN = 1


def funded(amount_minor: int = 1_000) -> Wallets:
    """Ann has this much; entry 1 says so."""
    wallets = Wallets()
    wallets.fund(ANN, amount_minor)
    return wallets


def stake(number: int, stake_minor: int = 100, **changes: Any) -> StakeCrash:
    """A bet on round 5 of table 3, with request id `number`."""
    made = StakeCrash(3, 5, "ann", stake_minor, "PLAY", 150, request(number))
    return replace(made, **changes)


def test_a_stake_is_held_and_its_table_asked() -> None:
    wallets = funded()
    decision = wallets.act(ANN, stake(1))
    assert decision.reply is DEFERRED
    (made,) = decision.facts
    assert (made.kind, made.seq, made.available_after, made.held_after) == ("hold", 2, 900, 100)
    assert made.step.parameters == '{"round_id":"3-5","auto_cashout":150}'
    assert (made.step.game, made.step.pair, made.step.nonce) == ("crash", None, None)
    (message,) = decision.messages
    assert (message.id, message.kind, message.key) == (message_id(ANN, 2), "crash", 3)
    assert message.body == Join(3, 5, ANN, 2, "ann", 100, "PLAY", 150)
    (push,) = decision.pushes
    assert (push.data.available, push.data.held) == (900, 100)


@pytest.mark.parametrize("refused", [None, Failure(ROUND_OVER), Failure(ALREADY_IN_ROUND)])
def test_a_repeated_stake_asks_its_table_again_whatever_that_said(refused: Failure | None) -> None:
    wallets = funded()
    wallets.act(ANN, stake(1))
    again = wallets.answer(ANN, stake(1, refusal=refused))
    assert again == Join(3, 5, ANN, 2, "ann", 100, "PLAY", 150)
    assert len(wallets.entries(ANN)) == 2


@pytest.mark.parametrize(
    "other",
    [{"stake_minor": 101}, {"currency": "USD"}, {"auto_cashout": 151}, {"auto_cashout": None},
     {"round": 6}, {"table": 4}],
)  # fmt: skip
def test_a_repeated_stake_of_other_content_is_a_mismatch(other: dict[str, Any]) -> None:
    wallets = funded()
    wallets.act(ANN, stake(1))
    kind = refusal(lambda: wallets.answer(ANN, replace(stake(1), **other)))
    assert kind is not None
    assert kind.code == "request_mismatch"


def test_the_id_of_another_command_is_a_mismatch() -> None:
    wallets = funded()
    wallets.act(ANN, roll(1, 100))
    kind = refusal(lambda: wallets.answer(ANN, stake(1)))
    assert kind is not None
    assert kind.code == "request_mismatch"


def test_a_refusal_of_the_table_stakes_nothing() -> None:
    wallets = funded()
    with pytest.raises(Failure) as refused:
        wallets.decide(ANN, stake(1, refusal=Failure(ROUND_OVER)))
    assert refused.value.kind is ROUND_OVER


def test_what_was_staked_longer_ago_than_a_wallet_remembers_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wallet_state, "MAX_RECENT_REQUESTS", 2)
    monkeypatch.setattr(wallet_state, "FORGOTTEN_TOGETHER", 1)
    wallets = funded()
    wallets.act(ANN, stake(1))
    for number in range(2, 8):
        wallets.act(ANN, roll(number, 10))
    late = stake(1, refusal=Failure(ROUND_OVER))
    assert request(1).int not in wallets.state(ANN).recent
    with pytest.raises(Known) as known:
        wallets.decide(ANN, late)
    assert known.value.otherwise is late.refusal
    assert wallets.answer(ANN, late) == Join(3, 5, ANN, 2, "ann", 100, "PLAY", 150)
    kind = refusal(lambda: wallets.answer(ANN, stake(99, refusal=Failure(ROUND_OVER))))
    assert kind is ROUND_OVER


def code_of(wallets: Wallets, command: StakeCrash) -> str | None:
    """What refuses a stake, if anything does."""
    kind = refusal(lambda: wallets.act(ANN, command))
    return kind.code if kind else None


def test_guards_stand_in_their_order() -> None:
    wallets = funded(50)
    late = stake(1, refusal=Failure(ROUND_OVER))
    servers_own = replace(late, request_id=UUID(int=8 << 76 | 2 << 62 | 5))
    codes = [code_of(wallets, command) for command in (servers_own, late, stake(1))]
    assert codes == ["malformed", "round_over", "insufficient_balance"]
    wallets.act(ANN, Exclude(None))
    assert code_of(wallets, stake(1)) == "self_excluded"
    assert len(wallets.entries(ANN)) == 1


def test_what_is_held_stays_within_its_bound() -> None:
    wallets = funded(MAX_MINOR)
    assert code_of(wallets, stake(1, MAX_MINOR)) is None
    wallets.fund(ANN, 5)
    assert code_of(wallets, stake(2, 5)) == "balance_limit"


def test_whoever_is_excluded_is_paid_what_is_open() -> None:
    wallets = funded()
    wallets.act(ANN, stake(1))
    wallets.act(ANN, Exclude(None))
    wallets.act(ANN, SettleHold(2, 250, '{"ended":"cashed_out"}'))
    assert wallets.available(ANN) == 1_150


@pytest.mark.parametrize(
    ("command", "kind", "available"),
    [
        (SettleHold(2, 250, '{"ended":"cashed_out"}'), "settle", 1_150),
        (SettleHold(2, 0, '{"ended":"lost"}'), "settle", 900),
        (ReleaseHold(2, '{"ended":"refunded"}'), "release", 1_000),
    ],
)
def test_a_hold_ends_once(command: Any, kind: str, available: int) -> None:
    wallets = funded()
    wallets.act(ANN, stake(1))
    (made,) = wallets.act(ANN, command).facts
    assert (made.kind, made.request_id) == (kind, settlement_id(ANN, 2))
    assert (made.available_after, made.held_after) == (available, 0)
    for again in (command, SettleHold(2, 900, "{}"), ReleaseHold(2, "{}")):
        assert wallets.act(ANN, again).facts == ()
    assert wallets.available(ANN) == available


def test_a_full_wallet_keeps_its_hold_until_there_is_room() -> None:
    wallets = funded()
    wallets.act(ANN, stake(1))
    wallets.fund(ANN, MAX_MINOR - 900)
    kind = refusal(lambda: wallets.act(ANN, SettleHold(2, 250, "{}")))
    assert kind is not None
    assert kind.code == "balance_limit"
    assert 2 in wallets.state(ANN).holds
