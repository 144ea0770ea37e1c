"""How long a run of bets may last."""

import time
from collections.abc import Sequence
from typing import Final

import jwt

from server.auth.tokens import ACCESS_LIFETIME_S

# Before its window a run makes its schedule, has its players join and warms up; after it, it waits
# for the last answers.
_AROUND_S: Final = 120
# A socket ends with its player's token, and the players of these runs have one each.
LONGEST_S: Final = ACCESS_LIFETIME_S - _AROUND_S


class LengthError(Exception):
    """The players' tokens would expire while the run lasts."""


def check_length(seconds: float, tokens: Sequence[str] = ()) -> None:
    """Raise LengthError if a run is too long for these tokens, or without any for new players'.

    Whether a token is one at all is for the server to say.
    """
    if not tokens and seconds > LONGEST_S:
        raise LengthError(
            f"at most {LONGEST_S} s: players' access tokens hold for {ACCESS_LIFETIME_S} s"
        )
    for left_s in map(_left_s, tokens):
        if left_s is not None and 0 < left_s < seconds:
            raise LengthError(
                f"a token expires in {left_s:.0f} s; `pitboss token --minutes`"
                " makes one that holds for longer"
            )


def _left_s(token: str) -> float | None:
    """How long a token still holds; None if it does not say."""
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        return float(claims["exp"]) - time.time()
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        return None
