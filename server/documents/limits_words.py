"""What the fields of limits of play mean, with the player of the examples as theirs."""

from typing import Any, Final

from server.documents.word import EXAMPLE_FROM_TYPE, Word

_HOUR_MS: Final = 3_600_000
_NOW_MS: Final = 1_767_225_600_000
_KIND: Final = "loss"
_PERIOD: Final = "week"
_MONDAY_MS: Final = _NOW_MS + 96 * _HOUR_MS
_RAISE: Final[dict[str, Any]] = {
    "amount": 20_000,
    "effective_at_ms": _NOW_MS + 24 * _HOUR_MS,
}

LIMITS_WORDS: Final[dict[str, Word]] = {
    "SetLimit.kind": Word(None, _KIND),
    "SetLimit.period": Word(None, _PERIOD),
    "SetLimit.amount": Word("In minor units; null takes the limit away.", 10_000),
    "CoolOff.hours": Word(None, 24),
    "Exclude.days": Word("How long; null for good.", 180),
    "PlayLimits.limits": Word("By kind, period and currency.", EXAMPLE_FROM_TYPE),
    "PlayLimit.kind": Word(None, _KIND),
    "PlayLimit.period": Word(None, _PERIOD),
    "PlayLimit.amount": Word(
        "The limit in force, in minor units; null where one is only to come.", 10_000
    ),
    "used": Word(
        "How much of it is used in the period that runs, in minor units; open stakes count as "
        "losses, and who has won has used less than nothing.",
        2_500,
    ),
    "resets_at_ms": Word(
        "When the next period begins, in milliseconds since 1970 (UTC).", _MONDAY_MS
    ),
    "pending": Word("A raise that is to come, null for none.", _RAISE),
    "PendingLimit.amount": Word("The limit from then on; null for none.", _RAISE["amount"]),
    "effective_at_ms": Word(
        "When it comes into force, in milliseconds since 1970 (UTC).", _RAISE["effective_at_ms"]
    ),
    "cooling_off_until_ms": Word(
        "The end of a break, in milliseconds since 1970 (UTC); null for none.",
        _NOW_MS + 24 * _HOUR_MS,
    ),
    "excluded": Word("Whether the player is excluded.", False),
    "excluded_until_ms": Word(
        "The end of the exclusion, in milliseconds since 1970 (UTC); null for none or no end.",
        None,
    ),
}
