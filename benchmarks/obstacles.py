"""What stands in the way of a load test, and which of a server's settings takes it away."""

import re
from types import MappingProxyType
from typing import Final

from protocol.disconnects import ADDRESS_FLOODING, FLOODING

GUESTS: Final = "auth/guest"
FAUCET: Final = "wallet/faucet"

_ADDRESS: Final = (
    "All connections of one address may send no more (PITBOSS_MAX_PACKETS_PER_SECOND_PER_IP)."
)
_SIGN_INS: Final = (
    "The server lets one address sign in no more often (PITBOSS_SIGN_INS_PER_MINUTE); give --token"
    " for players of your own."
)
_HINTS: Final = MappingProxyType(
    {
        "guests_off": "The server takes no guests (PITBOSS_GUEST_ACCOUNTS); give --token for"
        " players of your own.",
        "production_refuses": "Guests have nothing to bet here, as the faucet is off"
        " (PITBOSS_FAUCET_ENABLED); give --token for players of your own.",
        # Of bets it is another, see below: they are counted, and end no run.
        "rate_limited": _ADDRESS,
        str(FLOODING.close_code): "A connection may send no more (PITBOSS_MAX_PACKETS_PER_SECOND).",
        str(ADDRESS_FLOODING.close_code): _ADDRESS,
        "too_many_connections": "One address may have no more connections"
        " (PITBOSS_MAX_CONNECTIONS_PER_IP).",
        "too_many_user_connections": "One player may have no more connections"
        " (PITBOSS_MAX_CONNECTIONS_PER_USER).",
        "overloaded": "The server refuses what it cannot do in time.",
        "insufficient_balance": "A player has bet all there was.",
        "unauthenticated": "Is --token an access token of this server?",
        "token_invalid": "Is --token an access token of this server?",
        "token_expired": "An access token is good for a quarter of an hour.",
    }
)


# What `rate_limited` means by where it is met: nowhere is a bet, on a socket.
_RATE_LIMITED: Final = MappingProxyType(
    {
        "": "A player may place no more bets in a second (PITBOSS_BETS_PER_SECOND).",
        GUESTS: _SIGN_INS,
        FAUCET: _ADDRESS,
    }
)


def hint(code: str, path: str = "") -> str:
    """What an error with this code means for a load test; "" if it means nothing special.

    `path` is where it was met, if that was over HTTP.
    """
    if code == "rate_limited":
        return _RATE_LIMITED.get(path, _ADDRESS)
    return _HINTS.get(code, "")


def explained(message: str) -> str:
    """A message, with the hints for the errors and close codes that it names."""
    named = [_HINTS[word] for word in re.findall(r"[a-z_]+|[0-9]+", message) if word in _HINTS]
    return " ".join([f"{message.rstrip('.')}.", *named]) if named else message
