"""How much may be staked and won on one bet, per currency."""

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one bet in minor units; profit is payout minus stake."""

    least_stake_minor: int
    most_stake_minor: int
    most_profit_minor: int
