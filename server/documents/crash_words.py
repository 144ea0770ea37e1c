"""What the fields of crash mean, with a round as the example: everything in it is as computed."""

from typing import Any, Final

from actors.crash import odds
from actors.crash.chain import before
from server.documents.word import EXAMPLE_FROM_TYPE, Word

_HASH: Final = "5d0f9e2a7c4b81363e9a0d57f2c8b6144a7e93d05cb1f86e27d94c3a0b5e6f18"
_PUBLIC_SEED: Final = "0000000000000000000301a8f2c5d97be64012783fa9cd5e0b14763289acdef0"
_BUST: Final = odds.bust(_HASH, _PUBLIC_SEED)
_OPENED_MS: Final = 1_767_225_594_000
_STARTED_MS: Final = _OPENED_MS + 5_000
_ELAPSED_MS: Final = 3_000
_AT: Final = odds.multiplier_at(_ELAPSED_MS)
_STAKE: Final = 1_000
_PAYOUT: Final = _STAKE * _AT // 100
_WHEN: Final = "The server's clock, in milliseconds since 1970 (UTC)."
_OF_BET: Final = "The multiplier it was cashed out at, in hundredths"
_PLAYER: Final = "The player's username."
_MORE: Final = Word("How many were too many to list.", 0)

_SHOWN: Final[dict[str, Any]] = {
    "round_id": "2-41",
    "bust": odds.bust(before(_HASH), _PUBLIC_SEED),
    "hash": before(_HASH),
    "voided": False,
}

CRASH_WORDS: Final[dict[str, Word]] = {
    "table": Word("The table's number.", 2),
    "round_id": Word("The round: its table and its number.", "2-42"),
    "auto_cashout": Word("Where to cash out at the latest, in hundredths; null for nowhere.", 250),
    "name": Word("What the table is called.", "Dollars"),
    "phase": Word("What the table is doing.", "running"),
    "deadline_ms": Word("When this phase ends, null if nothing is known beforehand.", None),
    "CrashState.started_at_ms": Word(
        "When the multiplier began to rise, null before that.", _STARTED_MS
    ),
    "CrashState.at_ms": Word(_WHEN, _STARTED_MS + _ELAPSED_MS),
    "CrashState.multiplier": Word("In hundredths, null unless it is running.", _AT),
    "CrashState.bust": Word("Where it ended, null before that.", None),
    "CrashState.hash": Word("What decided it, null before its end.", None),
    "hash_before": Word(
        "The hash of the round before, which is the SHA-256 of this round's.", before(_HASH)
    ),
    "public_seed": Word("The public seed of the table's chain of hashes.", _PUBLIC_SEED),
    "bet_count": Word("How many bets are in the round.", 1),
    "staked": Word("What they staked together, in minor units.", _STAKE),
    "CrashState.bets": Word("The highest stakes first, a hundred at most.", EXAMPLE_FROM_TYPE),
    "CrashState.currency": Word("What is played for.", "USD"),
    "own": Word("Your bet in the round, null for none.", EXAMPLE_FROM_TYPE),
    "player": Word(_PLAYER, "ada"),
    "BetAtTable.multiplier": Word(f"{_OF_BET}, null if it is not.", None),
    "BetAtTable.payout": Word("What it paid, null if it has not ended.", None),
    "OwnBet.ended": Word("How it ended, null while it is open.", None),
    "OwnBet.multiplier": Word(f"{_OF_BET}, null if it is not.", None),
    "OwnBet.payout": Word("What it paid, null if it has not ended.", None),
    "CrashState.rounds": Word("Rounds that are over, newest first.", [_SHOWN]),
    "RoundShown.bust": Word("Where the multiplier ended, in hundredths.", _SHOWN["bust"]),
    "RoundShown.hash": Word("What decided it.", _SHOWN["hash"]),
    "voided": Word("Whether it was interrupted.", False),
    "crash:cashout.multiplier": Word("In hundredths.", _AT),
    "crash:cashout.payout": Word("What comes back, the stake included, in minor units.", _PAYOUT),
    "watching": Word("Whether its events come to this socket.", False),
    "tables": Word("By number.", EXAMPLE_FROM_TYPE),
    "least_stake": Word("In minor units.", 10),
    "most_stake": Word("In minor units.", 100_000),
    "most_profit": Word("What one bet may win at most; there it is cashed out.", 1_000_000),
    "most_round_profit": Word(
        "What all bets of a round may win at most; there all are cashed out.", 5_000_000
    ),
    "most_multiplier": Word("No round goes further, in hundredths.", odds.MOST_MULTIPLIER),
    "betting_ms": Word("How long a round takes bets, in milliseconds.", 5_000),
    "pause_ms": Word("How long the pause after a round is, in milliseconds.", 3_000),
    "Rounds.rounds": Word("Newest first.", EXAMPLE_FROM_TYPE),
    "GetRounds.before": Word("Only rounds with a lower number.", 43),
    "RoundRecord.number": Word("The round's number at its table.", 42),
    "bust": Word("Where the multiplier ended, in hundredths.", _BUST),
    "hash": Word("What decided it: the key of the HMAC, as text.", _HASH),
    "terminal_hash": Word("What was published before the chain's first round.", before("an end")),
    "edge_percent": Word("What the house keeps on average, part of the formula.", 3),
    "position": Word("The round's place in its chain, from 1.", 42),
    "RoundRecord.bets": Word("How many there were.", 1),
    "paid": Word("What was paid by the time it ended, in minor units.", _PAYOUT),
    "RoundOpened.at_ms": Word(_WHEN, _OPENED_MS),
    "RoundOpened.deadline_ms": Word("When it starts.", _STARTED_MS),
    "RoundStarted.at_ms": Word("When the multiplier began to rise.", _STARTED_MS),
    "RoundTicked.at_ms": Word(_WHEN, _STARTED_MS + _ELAPSED_MS),
    "elapsed_ms": Word("How long it has risen, in milliseconds.", _ELAPSED_MS),
    "RoundTicked.multiplier": Word("Where it is, in hundredths.", _AT),
    "RoundForced.multiplier": Word("Where everybody is cashed out, in hundredths.", _AT),
    "RoundCrashed.at_ms": Word("When it ended.", _STARTED_MS + odds.reached_at(_BUST)),
    "RoundCrashed.deadline_ms": Word(
        "When the next one opens.", _STARTED_MS + odds.reached_at(_BUST) + 3_000
    ),
    "RoundVoided.deadline_ms": Word("When the next one opens.", _STARTED_MS + 9_000),
    "items": Word("In the order in which they came.", EXAMPLE_FROM_TYPE),
    "more": _MORE,
    "JoinedItem.seq": Word("Of what is told of a player in a round, the highest counts.", 8_021),
    "LeftItem.seq": Word("Of what is told of a player in a round, the highest counts.", 8_024),
    "CashedOutItem.multiplier": Word(f"{_OF_BET}.", _AT),
    "CashedOutItem.payout": Word("What it paid, in minor units.", _PAYOUT),
}
