"""Limits of play: what a player sets against too much of it, and cannot take back at once."""

from enum import Enum
from typing import Annotated, Final

from msgspec import Meta

from protocol.bounds import MAX_MINOR
from protocol.commands.shape import Answer, Command, CurrencyCode

# Six weeks; who wants more of a break excludes themselves.
MOST_COOL_OFF_HOURS: Final = 1_008
# Half a year. The longest is a hundred years; there is `null` for ever.
LEAST_EXCLUSION_DAYS: Final = 180
MOST_EXCLUSION_DAYS: Final = 36_500


class LimitKind(Enum):
    """What is limited: money brought in, stakes less payouts, or stakes."""

    DEPOSIT = "deposit"
    LOSS = "loss"
    STAKE = "stake"


class Period(Enum):
    """A UTC day, a week from Monday, or a calendar month."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class GetLimits(Command):
    """Your limits of play, how much of them is used, and whether you may play at all."""


class SetLimit(Command):
    """Limit your deposits, losses or stakes. A lower limit holds at once, a higher after a day."""

    kind: LimitKind
    period: Period
    currency: CurrencyCode
    amount: Annotated[int, Meta(ge=0, le=MAX_MINOR)] | None


class CoolOff(Command):
    """Take a break from play. It cannot be ended early; a longer one takes its place."""

    hours: Annotated[int, Meta(ge=1, le=MOST_COOL_OFF_HOURS, description="How long.")]


class Exclude(Command):
    """Exclude yourself from play. It cannot be taken back; a longer one takes its place."""

    days: Annotated[int, Meta(ge=LEAST_EXCLUSION_DAYS, le=MOST_EXCLUSION_DAYS)] | None


class PendingLimit(Answer):
    """A higher limit, or none, that is to come."""

    amount: int | None
    effective_at_ms: int


class PlayLimit(Answer):
    """One limit, and how much of it is used in the period that runs."""

    kind: LimitKind
    period: Period
    currency: str
    amount: int | None
    used: int
    resets_at_ms: int
    pending: PendingLimit | None


class PlayLimits(Answer):
    """All limits of play that a player has set. Withdrawals are always possible."""

    limits: list[PlayLimit]
    cooling_off_until_ms: int | None
    excluded: bool
    excluded_until_ms: int | None
