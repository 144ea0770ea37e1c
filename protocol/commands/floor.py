"""What operators switch on the floor: a game, or one of its tables, takes no bets for a while."""

from enum import Enum
from typing import Annotated

from msgspec import Meta

from protocol.commands.crash import TableNumber
from protocol.commands.shape import Answer, Command, Event, UserId

# Changes that an answer lists, newest first: more than operators make in a shift.
MAX_CHANGES_SHOWN = 50

OneTable = Annotated[
    TableNumber | None,
    Meta(description="One table of crash; null for all of the game."),
]


class Game(Enum):
    """The games there are."""

    DICE = "dice"
    LIMBO = "limbo"
    PLINKO = "plinko"
    MINES = "mines"
    CRASH = "crash"


class PauseGame(Command):
    """Take no new bets in a game or at a table, as an operator. What is open is played on."""

    game: Game
    table: OneTable = None


class ResumeGame(Command):
    """Take bets again in a game or at a table, as an operator."""

    game: Game
    table: OneTable = None


class GetSwitches(Command):
    """What is paused, and who switched what lately, as an operator."""


class Switched(Answer):
    """One switch as it stands, or as it was changed. A table is null for all of a game."""

    game: Game
    table: int | None
    paused: bool
    by: UserId
    at_ms: int


class Switches(Answer):
    """What is paused, and the newest changes, newest first."""

    paused: list[Switched]
    changes: list[Switched]


class TablePaused(Event):
    """Operators have paused the table: a round that is open is played on, and none follows."""

    table: int
    at_ms: int


class TableResumed(Event):
    """The table plays again."""

    table: int
    at_ms: int
