"""A table that is not configured gives stakes back, and plays no rounds."""

from actors.crash.commands import Join, Wake
from actors.crash.rules import crash_kind
from actors.decision import Context
from actors.wallet.commands import ReleaseHold
from tests.support.rounds import code


def test_a_stake_for_an_unknown_table_goes_back() -> None:
    kind = crash_kind({}, ())
    state = kind.restore(9, None)
    context = Context(1_000, lambda: "")
    assert kind.rules[Wake].decide(state, Wake(), context).facts == ()
    join = Join(9, 1, 5, 50, "ann", 100, "PLAY", None)
    decision = kind.rules[Join].decide(state, join, context)
    assert code(decision.reply) == "unknown_round"
    assert [fact.kind for fact in decision.facts] == ["returned"]
    (message,) = decision.messages
    assert isinstance(message.body, ReleaseHold)
    assert (message.key, message.body.hold) == (5, 50)
