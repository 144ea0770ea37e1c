"""Answers that have crossed the bus, as the auditor reads them."""

from typing import Any, Final

import msgspec

from actors.wallet.commands import Adjust, SendTip, StartRain
from protocol.commands.crash import (
    BetCrash,
    CancelCrash,
    CashedOut,
    CashOutCrash,
    CrashBet,
    CrashCancelled,
    CrashState,
    GetCrash,
)
from protocol.commands.dice import DiceResult, RollDice
from protocol.commands.limbo import LimboResult, PlayLimbo
from protocol.commands.limits import CoolOff, Exclude, GetLimits, PlayLimits, SetLimit
from protocol.commands.mines import (
    CashOutMines,
    GetMines,
    MinesGames,
    MinesPlayed,
    MinesStarted,
    RevealTile,
    StartMines,
)
from protocol.commands.plinko import DropPlinko, PlinkoResult
from protocol.commands.rain import RainStarted
from protocol.commands.seed import CurrentSeed, GetSeed, Rotated, RotateSeed, SetClientSeed
from protocol.commands.wallet import GetWallet, Moved, Wallet

_ANSWERS: Final[dict[type, type[msgspec.Struct]]] = {
    Adjust: Moved,
    SendTip: Moved,
    StartRain: RainStarted,
    GetWallet: Wallet,
    GetSeed: CurrentSeed,
    SetClientSeed: CurrentSeed,
    RotateSeed: Rotated,
    RollDice: DiceResult,
    PlayLimbo: LimboResult,
    DropPlinko: PlinkoResult,
    StartMines: MinesStarted,
    RevealTile: MinesPlayed,
    CashOutMines: MinesPlayed,
    GetMines: MinesGames,
    GetLimits: PlayLimits,
    SetLimit: PlayLimits,
    CoolOff: PlayLimits,
    Exclude: PlayLimits,
    BetCrash: CrashBet,
    CancelCrash: CrashCancelled,
    CashOutCrash: CashedOut,
    GetCrash: CrashState,
}


def typed(command: Any, outcome: Any) -> Any:
    """An answer as the type that the catalogue promises, wherever it was made."""
    if not isinstance(outcome, dict):
        return outcome
    return msgspec.convert(outcome, _ANSWERS[type(command)])
