"""How a wallet lets it rain: one row and one message for each receiver, as many tips would be.

The first row has the client's request id and says what all of the rain was, which answers a
repeated request. The others have the ids of their own messages: no client makes those, and in this
wallet no other row has them.
"""

from typing import Final

import msgspec

from actors.decision import Context, Decision, Notice
from actors.kind import Rule
from actors.wallet import facts
from actors.wallet.commands import StartRain
from actors.wallet.facts import Entry
from actors.wallet.ledger import (
    balance_after,
    check_change,
    check_currency,
    check_new,
    entry,
    once_more,
    refusal,
    updated,
)
from actors.wallet.legs import RAIN, message_of, rules_of
from actors.wallet.state import WalletState
from protocol.commands.rain import RainFell, RainStarted
from protocol.errors import (
    NOBODY_ACTIVE,
    RAIN_TOO_SMALL,
    REQUEST_MISMATCH,
    Failure,
)
from protocol.ids import message_id

# A decision is one batch's worth of rows at most, and a wallet's next command waits for it. More
# players than that would get too little to notice.
MAX_RECEIVERS: Final = 50


class Shower(msgspec.Struct, frozen=True):
    """What all of a rain was, as it stands in its first row. `amount` is what was asked for."""

    room: str
    amount: int
    minutes: int
    receivers: int


_encode: Final = msgspec.json.Encoder().encode
_shower: Final = msgspec.json.Decoder(Shower).decode


def _start(state: WalletState, command: StartRain, context: Context) -> Decision:
    check_new(state, command.request_id)
    check_currency(command.currency)
    count = len(command.to)
    assert count <= MAX_RECEIVERS, "who sends the command chooses a few"
    assert state.wallet_id not in command.to, "nobody rains on themselves"
    if not count:
        # Perhaps somebody was, when this was sent long ago.
        raise refusal(state, Failure(NOBODY_ACTIVE, room=command.room))
    share_minor = command.amount_minor // count
    if not share_minor:
        raise Failure(RAIN_TOO_SMALL, least=count)
    check_change(state, command.currency, -share_minor * count)
    shower = Shower(command.room, command.amount_minor, command.minutes, count)
    rows = _rows(state, command, context, share_minor, shower)
    fell = RainFell(
        room=command.room,
        sender=command.player,
        currency=command.currency,
        share=share_minor,
        receivers=count,
    )
    return Decision(
        _started(rows[0], shower),
        tuple(rows),
        (updated(state, rows[-1]), Notice(command.room, "rain:fell", fell)),
        tuple(message_of(RAIN, row) for row in rows),
    )


def _rows(
    state: WalletState, command: StartRain, context: Context, share_minor: int, shower: Shower
) -> list[Entry]:
    first, *others = command.to
    rows = [
        entry(
            state,
            context,
            facts.RAIN_SENT,
            command.currency,
            -share_minor,
            command.request_id,
            counterparty=first,
            rain=_encode(shower).decode(),
        )
    ]
    for receiver in others:
        own_id = message_id(state.wallet_id, rows[-1].seq + 1)
        rows.append(once_more(rows[-1], own_id, receiver))
    return rows


def _started(first: Entry, shower: Shower) -> RainStarted:
    """The answer, by the rain's first row: the others follow from it."""
    share_minor, others = -first.available_delta, shower.receivers - 1
    taken_minor = share_minor * shower.receivers
    balance = balance_after(first)
    balance.available -= share_minor * others
    balance.seq += others
    return RainStarted(
        room=shower.room,
        currency=first.currency,
        share=share_minor,
        receivers=shower.receivers,
        taken=taken_minor,
        remainder=shower.amount - taken_minor,
        balance=balance,
    )


def _replay(command: StartRain, first: Entry) -> RainStarted:
    """The first answer again; `request_mismatch` for other content."""
    if first.kind != facts.RAIN_SENT or first.rain is None:
        raise Failure(REQUEST_MISMATCH)
    shower = _shower(first.rain)
    given = (command.currency, command.room, command.amount_minor, command.minutes)
    if given != (first.currency, shower.room, shower.amount, shower.minutes):
        raise Failure(REQUEST_MISMATCH)
    return _started(first, shower)


RULES: Final[dict[type, Rule]] = {StartRain: Rule(_start, _replay), **rules_of(RAIN)}
