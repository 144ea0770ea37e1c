"""Which errors a command may answer with: those of its kind, and its own."""

from typing import Final

from protocol import errors
from protocol.catalogue import EVERYONE, Door, Entry
from protocol.errors import ErrorKind

# Any command may meet these.
_ANY: Final = (
    errors.MALFORMED,
    errors.RATE_LIMITED,
    errors.OVERLOADED,
    errors.STORAGE_UNAVAILABLE,
    errors.INTERNAL,
)
_ACTOR: Final = (errors.DRAINING, errors.EVICTED, errors.MOVING, errors.UNREACHABLE)
# HTTP brings its token with each request; a socket brought it when it connected.
_TOKEN: Final = (
    errors.UNAUTHENTICATED,
    errors.TOKEN_INVALID,
    errors.TOKEN_EXPIRED,
    errors.SESSION_REVOKED,
)
# What players set against their own play refuses any wager.
_RESTRICTED: Final = (
    errors.STAKE_LIMIT_REACHED,
    errors.LOSS_LIMIT_REACHED,
    errors.COOLING_OFF,
    errors.SELF_EXCLUDED,
)
# Any bet of an instant game may meet these.
_WAGER: Final = (
    *_RESTRICTED,
    errors.UNKNOWN_CURRENCY,
    errors.STAKE_TOO_SMALL,
    errors.STAKE_TOO_LARGE,
    errors.PROFIT_TOO_LARGE,
    errors.INSUFFICIENT_BALANCE,
    errors.BALANCE_LIMIT,
    errors.NO_SEED,
    errors.GAME_PAUSED,
    errors.REQUEST_MISMATCH,
)

# What each command's own rules refuse. A command without rules of its own stands here as well.
_OWN: Final[dict[str, tuple[ErrorKind, ...]]] = {
    "auth:register": (errors.NAME_TAKEN, errors.EMAIL_TAKEN),
    "auth:login": (errors.BAD_CREDENTIALS, errors.ACCOUNT_DISABLED),
    "auth:guest": (errors.GUESTS_OFF,),
    "auth:renew": (
        errors.TOKEN_INVALID,
        errors.TOKEN_EXPIRED,
        errors.SESSION_REVOKED,
        errors.TOKEN_REUSED,
    ),
    "auth:refresh": (errors.TOKEN_INVALID, errors.TOKEN_EXPIRED, errors.SESSION_REVOKED),
    "auth:logout": (),
    "wallet:get": (),
    "wallet:history": (),
    "wallet:tip": (
        errors.UNKNOWN_RECIPIENT,
        errors.UNKNOWN_CURRENCY,
        errors.SELF_TRANSFER,
        errors.INSUFFICIENT_BALANCE,
        errors.REQUEST_MISMATCH,
    ),
    "wallet:deposit": (
        errors.UNKNOWN_RECIPIENT,
        errors.UNKNOWN_CURRENCY,
        errors.SELF_EXCLUDED,
        errors.COOLING_OFF,
        errors.DEPOSIT_LIMIT_REACHED,
        errors.BALANCE_LIMIT,
        errors.REQUEST_MISMATCH,
    ),
    "wallet:withdraw": (
        errors.UNKNOWN_RECIPIENT,
        errors.UNKNOWN_CURRENCY,
        errors.INSUFFICIENT_BALANCE,
        errors.REQUEST_MISMATCH,
    ),
    "wallet:faucet": (
        errors.PRODUCTION_REFUSES,
        errors.UNKNOWN_CURRENCY,
        errors.BALANCE_LIMIT,
        errors.REQUEST_MISMATCH,
    ),
    "dice:roll": (*_WAGER, errors.TARGET_OUT_OF_RANGE),
    "limbo:play": (*_WAGER, errors.TARGET_OUT_OF_RANGE),
    "plinko:drop": (*_WAGER, errors.UNKNOWN_BOARD),
    "mines:start": (*_WAGER, errors.GAME_OPEN),
    "mines:reveal": (
        errors.NO_OPEN_GAME,
        errors.TILE_REVEALED,
        errors.BALANCE_LIMIT,
        errors.REQUEST_MISMATCH,
    ),
    "mines:cashout": (
        errors.NO_OPEN_GAME,
        errors.NOTHING_PICKED,
        errors.BALANCE_LIMIT,
        errors.REQUEST_MISMATCH,
    ),
    "mines:state": (),
    "crash:bet": (
        *_RESTRICTED,
        errors.INSUFFICIENT_BALANCE,
        errors.BALANCE_LIMIT,
        errors.REQUEST_MISMATCH,
        errors.STAKE_TOO_SMALL,
        errors.STAKE_TOO_LARGE,
        errors.GAME_PAUSED,
        errors.UNKNOWN_TABLE,
        errors.AUTO_CASHOUT_OUT_OF_RANGE,
        errors.CURRENCY_MISMATCH,
        errors.UNKNOWN_ROUND,
        errors.ROUND_OVER,
        errors.ROUND_STARTED,
        errors.ALREADY_IN_ROUND,
        errors.ROUND_FULL,
    ),
    "crash:cancel": (
        errors.UNKNOWN_TABLE,
        errors.UNKNOWN_ROUND,
        errors.ROUND_OVER,
        errors.ROUND_STARTED,
        errors.NOT_IN_ROUND,
    ),
    "crash:cashout": (
        errors.UNKNOWN_TABLE,
        errors.UNKNOWN_ROUND,
        errors.ROUND_OVER,
        errors.NOT_IN_ROUND,
        errors.ALREADY_CASHED_OUT,
        errors.ROUND_NOT_STARTED,
    ),
    "crash:state": (errors.UNKNOWN_TABLE,),
    "crash:watch": (errors.UNKNOWN_TABLE, errors.TOO_MANY_ROOMS),
    "crash:unwatch": (),
    "crash:tables": (),
    "crash:history": (errors.UNKNOWN_TABLE,),
    # Its bets are refused one by one, inside an answer that succeeds.
    "bets:place": (),
    "bet:history": (),
    "bet:get": (errors.NOT_FOUND,),
    "seed:get": (),
    "seed:rotate": (errors.SEED_IN_USE,),
    "seed:set_client": (errors.SEED_IN_USE,),
    "limits:get": (),
    "limits:set": (errors.UNKNOWN_CURRENCY, errors.TOO_MANY_CHANGES),
    "limits:cool_off": (errors.TOO_MANY_CHANGES,),
    "limits:exclude": (errors.TOO_MANY_CHANGES,),
    "rain:start": (
        errors.NOT_FOUND,
        errors.UNKNOWN_CURRENCY,
        errors.NOBODY_ACTIVE,
        errors.RAIN_TOO_SMALL,
        errors.INSUFFICIENT_BALANCE,
        errors.REQUEST_MISMATCH,
    ),
    "feed:state": (),
    "feed:watch": (errors.TOO_MANY_ROOMS,),
    "feed:unwatch": (),
    "stats:get": (),
    "game:pause": (errors.UNKNOWN_TABLE,),
    "game:resume": (errors.UNKNOWN_TABLE,),
    "game:switches": (),
    "node:stats": (),
    "node:connections": (),
    "node:rooms": (errors.INVALID_NAMESPACE,),
}

# A connection is refused with these: by the response to its handshake, or by `connect_error`.
CONNECTING: Final = (
    errors.MALFORMED,
    errors.TOO_LARGE,
    errors.INVALID_NAMESPACE,
    errors.REQUEST_TIMEOUT,
    errors.UNAUTHENTICATED,
    errors.TOKEN_INVALID,
    errors.TOKEN_EXPIRED,
    errors.FORBIDDEN,
    errors.SESSION_REVOKED,
    errors.RATE_LIMITED,
    errors.TOO_MANY_CONNECTIONS,
    errors.OVERLOADED,
    errors.TOO_MANY_ROOMS,
    errors.TOO_MANY_USER_CONNECTIONS,
    errors.STORAGE_UNAVAILABLE,
    errors.DRAINING,
    errors.INTERNAL,
)

# A message that names no command is acknowledged with this.
UNROUTED: Final = (errors.UNKNOWN_COMMAND,)


def over_socket(entry: Entry) -> tuple[ErrorKind, ...]:
    """What a socket's acknowledgement may say, by number."""
    kinds = {*_ANY, *_OWN.get(entry.name, ())}
    if entry.door is Door.ACTOR:
        kinds.update(_ACTOR)
    if entry.roles and entry.roles != EVERYONE:
        kinds.add(errors.FORBIDDEN)
    return _by_number(kinds)


def over_http(entry: Entry) -> tuple[ErrorKind, ...]:
    """What an HTTP response may say, by number."""
    assert entry.route is not None
    kinds = set(over_socket(entry))
    if entry.roles:
        kinds.update(_TOKEN)
    if entry.route.method != "GET":
        kinds.update((errors.TOO_LARGE, errors.UNSUPPORTED_ENCODING))
    return _by_number(kinds)


def _by_number(kinds: set[ErrorKind]) -> tuple[ErrorKind, ...]:
    return tuple(sorted(kinds, key=lambda kind: kind.number))
