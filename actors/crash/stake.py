"""How a wallet stakes on a crash round: it holds the stake, and asks the table to take the bet."""

from typing import Final

import msgspec

from actors.crash.commands import Join, StakeCrash
from actors.crash.rules import CRASH
from actors.decision import DEFERRED, Context, Decision, Message
from actors.kind import Rule
from actors.wallet import facts
from actors.wallet.facts import Entry, Step
from actors.wallet.holds import opening
from actors.wallet.ledger import check_new, refusal, updated
from actors.wallet.state import WalletState
from protocol.commands.crash import round_id
from protocol.errors import REQUEST_MISMATCH, Failure
from protocol.ids import message_id

GAME: Final = CRASH


class Parameters(msgspec.Struct, frozen=True):
    """What the player chose, as it stands in the row of the hold."""

    round_id: str
    auto_cashout: int | None


_encode = msgspec.json.Encoder().encode
_parameters = msgspec.json.Decoder(Parameters).decode


def _chosen(command: StakeCrash) -> Parameters:
    return Parameters(round_id(command.table, command.round), command.auto_cashout)


def _stake(state: WalletState, command: StakeCrash, context: Context) -> Decision:
    check_new(state, command.request_id)
    if command.refusal is not None:
        # Rounds pass quickly: what is refused now may repeat what was taken then.
        raise refusal(state, command.refusal)
    chosen = _encode(_chosen(command)).decode()
    step = Step(GAME, stake_minor=command.stake_minor, parameters=chosen)
    made = opening(state, context, command.currency, command.request_id, step)
    join = _join(command, made)
    message = Message(message_id(made.wallet_id, made.seq), CRASH, command.table, join)
    return Decision(DEFERRED, (made,), (updated(state, made),), (message,))


def _replay(command: StakeCrash, made: Entry) -> Join:
    """What asks the table once more, which knows the hold: its answer is the first one again."""
    step = made.step
    given = (GAME, command.stake_minor, command.currency)
    same = (
        made.kind == facts.HOLD
        and step is not None
        and step.parameters is not None
        and (step.game, step.stake_minor, made.currency) == given
        and _parameters(step.parameters) == _chosen(command)
    )
    if not same:
        raise Failure(REQUEST_MISMATCH)
    return _join(command, made)


def _join(command: StakeCrash, made: Entry) -> Join:
    return Join(
        command.table,
        command.round,
        made.wallet_id,
        made.seq,
        command.player,
        command.stake_minor,
        command.currency,
        command.auto_cashout,
    )


RULES: Final[dict[type, Rule]] = {StakeCrash: Rule(_stake, _replay)}
