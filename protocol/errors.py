"""The numbered family of errors: what a caller reads, and whether trying again can help.

Numbers are stable and documented; clients may switch on them. The thousand names the family:
1 the message, 2 who is asking, 3 money, 4 games, 5 limits, 9 the server itself.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class ErrorKind(msgspec.Struct, frozen=True):
    """One kind of error. `temporary` says that the same request may succeed later."""

    code: str
    number: int
    message: str
    temporary: bool
    status: int


ERRORS: Final[dict[str, ErrorKind]] = {}


def _kind(
    number: int, code: str, status: int, message: str, *, temporary: bool = False
) -> ErrorKind:
    kind = ErrorKind(code, number, message, temporary, status)
    assert code not in ERRORS, f"error {code} is declared twice"
    assert all(number != other.number for other in ERRORS.values()), f"{number} is taken"
    ERRORS[code] = kind
    return kind


MALFORMED = _kind(1001, "malformed", 400, "The message is not what this command takes.")
UNKNOWN_COMMAND = _kind(1002, "unknown_command", 404, "There is no such command.")
TOO_LARGE = _kind(1003, "too_large", 413, "The message is larger than is accepted.")
NOT_FOUND = _kind(1004, "not_found", 404, "There is no such thing, or it is not yours to see.")
INVALID_NAMESPACE = _kind(1005, "invalid_namespace", 404, "Invalid namespace")
REQUEST_TIMEOUT = _kind(
    1006, "request_timeout", 408, "The request did not arrive in time.", temporary=True
)
UNSUPPORTED_ENCODING = _kind(
    1007, "unsupported_encoding", 415, "Send the body as it is: no compressed one is taken."
)

UNAUTHENTICATED = _kind(2001, "unauthenticated", 401, "Log in first: the token is missing.")
TOKEN_INVALID = _kind(2002, "token_invalid", 401, "The token is not valid. Log in again.")
TOKEN_EXPIRED = _kind(2003, "token_expired", 401, "The token has expired. Refresh it.")
FORBIDDEN = _kind(2004, "forbidden", 403, "Your role does not allow this.")
BAD_CREDENTIALS = _kind(2005, "bad_credentials", 401, "The name or the password is wrong.")
NAME_TAKEN = _kind(2006, "name_taken", 409, "That username is taken.")
EMAIL_TAKEN = _kind(2007, "email_taken", 409, "That e-mail address has an account already.")
SESSION_REVOKED = _kind(2008, "session_revoked", 401, "This session has ended. Log in again.")
TOKEN_REUSED = _kind(
    2009, "token_reused", 401, "That refresh token was used before, so its session has ended."
)
GUESTS_OFF = _kind(2010, "guests_off", 403, "Guest accounts are not offered here.")
PRODUCTION_REFUSES = _kind(
    2011, "production_refuses", 403, "This is for trying things out, and turned off here."
)
ACCOUNT_DISABLED = _kind(2012, "account_disabled", 403, "This account is closed.")

INSUFFICIENT_BALANCE = _kind(3001, "insufficient_balance", 409, "The balance does not cover this.")
UNKNOWN_CURRENCY = _kind(3002, "unknown_currency", 400, "That currency is not offered.")
BALANCE_LIMIT = _kind(3003, "balance_limit", 409, "The balance would be more than a wallet holds.")
REQUEST_MISMATCH = _kind(
    3004, "request_mismatch", 409, "This request id was used before, for something else."
)
SELF_TRANSFER = _kind(3005, "self_transfer", 400, "You cannot send money to yourself.")
UNKNOWN_RECIPIENT = _kind(3006, "unknown_recipient", 404, "There is no such player.")
NOBODY_ACTIVE = _kind(3007, "nobody_active", 409, "Nobody else has been active in that room.")
RAIN_TOO_SMALL = _kind(
    3008, "rain_too_small", 400, "This is less than one minor unit for each who is there."
)

STAKE_TOO_SMALL = _kind(4001, "stake_too_small", 400, "The stake is below the least allowed.")
STAKE_TOO_LARGE = _kind(4002, "stake_too_large", 400, "The stake is above the most allowed.")
PROFIT_TOO_LARGE = _kind(4003, "profit_too_large", 400, "This bet could win more than is allowed.")
TARGET_OUT_OF_RANGE = _kind(
    4004, "target_out_of_range", 400, "The target leaves no way to win, or no way to lose."
)
NO_SEED = _kind(4005, "no_seed", 409, "The wallet has no seed pair yet. Ask for seed:get first.")
SEED_IN_USE = _kind(
    4006, "seed_in_use", 409, "A game that draws from these seeds is open. Finish it first."
)
GAME_PAUSED = _kind(4007, "game_paused", 409, "This game takes no bets at the moment.")

UNKNOWN_BOARD = _kind(
    4010, "unknown_board", 400, "There is no plinko board of these rows and this risk."
)

TILE_REVEALED = _kind(4020, "tile_revealed", 409, "That tile is revealed already.")
NO_OPEN_GAME = _kind(4021, "no_open_game", 409, "There is no open game in that currency.")
GAME_OPEN = _kind(4022, "game_open", 409, "A game in that currency is open. Finish it first.")
NOTHING_PICKED = _kind(4023, "nothing_picked", 409, "Pick a tile before you cash out.")

UNKNOWN_TABLE = _kind(4030, "unknown_table", 404, "There is no such table.")
AUTO_CASHOUT_OUT_OF_RANGE = _kind(
    4031,
    "auto_cashout_out_of_range",
    400,
    "An automatic cash-out is above 1.00, and not above the table's highest multiplier.",
)
ROUND_OVER = _kind(4032, "round_over", 409, "That round is over.")
ROUND_STARTED = _kind(4033, "round_started", 409, "That round takes no bets any more.")
ALREADY_IN_ROUND = _kind(4034, "already_in_round", 409, "You have a bet in this round already.")
NOT_IN_ROUND = _kind(4035, "not_in_round", 409, "You have no bet in this round.")
ALREADY_CASHED_OUT = _kind(4036, "already_cashed_out", 409, "That bet is cashed out already.")
ROUND_FULL = _kind(4037, "round_full", 409, "This round has as many bets as it takes.")
ROUND_NOT_STARTED = _kind(4038, "round_not_started", 409, "That round has not started yet.")
UNKNOWN_ROUND = _kind(4039, "unknown_round", 404, "There is no such round.")
CURRENCY_MISMATCH = _kind(4040, "currency_mismatch", 400, "This table plays in another currency.")

RATE_LIMITED = _kind(5001, "rate_limited", 429, "Too many requests. Slow down.", temporary=True)
TOO_MANY_CONNECTIONS = _kind(
    5002, "too_many_connections", 429, "Too many connections from here.", temporary=True
)
OVERLOADED = _kind(5003, "overloaded", 503, "The server is busy. Try again.", temporary=True)
TOO_MANY_ROOMS = _kind(5004, "too_many_rooms", 409, "This connection is in too many rooms.")
TOO_MANY_USER_CONNECTIONS = _kind(
    5005,
    "too_many_user_connections",
    429,
    "Your account has too many connections open. Close one of them.",
    temporary=True,
)
STAKE_LIMIT_REACHED = _kind(
    5010, "stake_limit_reached", 403, "You would stake more than the limit that you have set."
)
LOSS_LIMIT_REACHED = _kind(
    5011, "loss_limit_reached", 403, "You could lose more than the limit that you have set."
)
DEPOSIT_LIMIT_REACHED = _kind(
    5012, "deposit_limit_reached", 403, "This is more than the deposit limit that the player set."
)
COOLING_OFF = _kind(5013, "cooling_off", 403, "You are taking a break from play.")
SELF_EXCLUDED = _kind(5014, "self_excluded", 403, "You have excluded yourself from play.")
TOO_MANY_CHANGES = _kind(
    5015, "too_many_changes", 409, "Limits of play were changed too often today."
)

STORAGE_UNAVAILABLE = _kind(
    9001,
    "storage_unavailable",
    503,
    "This could not be stored now. Try again with the same request id.",
    temporary=True,
)
DRAINING = _kind(9002, "draining", 503, "This server is closing. Connect again.", temporary=True)
INTERNAL = _kind(9003, "internal", 500, "Something went wrong on our side.", temporary=True)
EVICTED = _kind(
    9004,
    "evicted",
    503,
    "The wallet was read again from storage. Try again with the same request id.",
    temporary=True,
)
MOVING = _kind(
    9005,
    "moving",
    503,
    "This is moving from one server to another. Nothing was done: try again.",
    temporary=True,
)
UNREACHABLE = _kind(
    9006,
    "unreachable",
    503,
    "The server that keeps this did not answer in time. Try again with the same request id.",
    temporary=True,
)


class Failure(Exception):  # noqa: N818 - it is a rejection or a fault, the kind says which
    """A numbered error on its way to the caller: a kind, and details for a program to read.

    Meaning: nothing was changed, unless the kind is `storage_unavailable` or `unreachable`, whose
    outcome is unknown until the same request id is sent again.
    """

    __slots__ = ("details", "kind")

    def __init__(self, kind: ErrorKind, /, **details: Any) -> None:
        super().__init__(kind.code)
        self.kind = kind
        self.details: Mapping[str, Any] = details

    def __str__(self) -> str:
        return f"{self.kind.code} ({self.kind.number}) {dict(self.details)}"


class ErrorBody(msgspec.Struct, frozen=True):
    """An error as it is written on the wire."""

    code: str
    number: int
    message: str
    temporary: bool
    details: Mapping[str, Any]


def body(failure: Failure) -> ErrorBody:
    """What a caller is shown of `failure`."""
    kind = failure.kind
    return ErrorBody(kind.code, kind.number, kind.message, kind.temporary, failure.details)
