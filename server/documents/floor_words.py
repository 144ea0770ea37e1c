"""What the fields of rain, the feed, statistics and switches mean, with an example of each."""

from typing import Any, Final

from server.documents.word import EXAMPLE_FROM_TYPE, Word

_NOW_MS: Final = 1_767_225_600_000
_SHARE: Final = 33
_RECEIVERS: Final = 15
_AMOUNT: Final = 500
_PAUSED: Final[dict[str, Any]] = {
    "game": "crash",
    "table": 2,
    "paused": True,
    "by": 3,
    "at_ms": _NOW_MS,
}

FLOOR_WORDS: Final[dict[str, Word]] = {
    "StartRain.room": Word("The room's name.", "crash:2"),
    "RainStarted.room": Word("Where it fell.", "crash:2"),
    "RainFell.room": Word("Where it fell.", "crash:2"),
    "StartRain.amount": Word(
        "How much to split, in minor units. What cannot be split evenly is not taken.", _AMOUNT
    ),
    "minutes": Word(None, 5),
    "share": Word("What each of them gets, in minor units.", _SHARE),
    "receivers": Word("How many it falls on, 50 at most.", _RECEIVERS),
    "taken": Word("What all of them get together, in minor units.", _SHARE * _RECEIVERS),
    "remainder": Word("What was asked for beyond that, and stays.", _AMOUNT - _SHARE * _RECEIVERS),
    "from": Word(None, "ada"),
    "recent": Word("Newest first, 20 at most.", EXAMPLE_FROM_TYPE),
    "high": Word("The highest of the last day, 20 at most.", EXAMPLE_FROM_TYPE),
    "FeedBet.multiplier": Word("Payout over stake in hundredths, rounded down; 0 for a loss.", 196),
    "FeedJoined.bets": Word(
        "Oldest first; of many at once, those that won most.", EXAMPLE_FROM_TYPE
    ),
    "skipped": Word("How many more were settled, too many to tell.", 0),
    "GetPlayerStats.game": Word("Only this game.", "dice"),
    "GetPlayerStats.currency": Word("Only this currency.", "USD"),
    "PlayerStats.stats": Word("By game and currency.", EXAMPLE_FROM_TYPE),
    "GameStats.bets": Word("How many bets were settled.", 12),
    "GameStats.staked": Word("What they staked together.", 12_000),
    "GameStats.paid": Word("What they were paid together, stakes included.", 11_760),
    "net": Word("`paid` less `staked`: negative if more was lost than won.", -240),
    "biggest_win": Word("The largest payout less its stake.", 960),
    "best_multiplier": Word("The largest payout over its stake, in hundredths.", 196),
    "upto": Word("The newest ledger entry that is counted.", 42),
    "PauseGame.game": Word("Which game.", "crash"),
    "PauseGame.table": Word(None, 2),
    "ResumeGame.game": Word("Which game.", "crash"),
    "ResumeGame.table": Word(None, 2),
    "Switched.game": Word("Which game.", "crash"),
    "Switched.table": Word("Which table; null for all of the game.", 2),
    "Switched.paused": Word("Whether it takes no bets.", True),
    "game:resume.paused": Word(None, False),
    "by": Word("The operator who switched it.", 3),
    "Switches.paused": Word("What takes no bets now.", [_PAUSED]),
    "changes": Word("Newest first, 50 at most.", [_PAUSED]),
}
