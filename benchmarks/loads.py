"""Which wallets bets are for: all alike, a few favourites, or one that gets half of them.

A load is a weight for each connection of a run, and the token that each carries.
"""

from collections.abc import Sequence
from typing import Final

from benchmarks.plan import Load

# As usual for popularity: the second wallet gets half of what the first gets, the tenth a tenth.
_ZIPF_EXPONENT: Final = 1.05
# The hot player's devices: so many of all connections carry that player's token.
_HOT_CONNECTIONS: Final = 0.25
_HOT_BETS: Final = 0.5


def weights(load: Load, connections: int) -> list[float]:
    """What share of the bets each of the connections gets; they add up to 1."""
    if load == "zipf":
        ranked = [1 / rank**_ZIPF_EXPONENT for rank in range(1, connections + 1)]
        return [weight / sum(ranked) for weight in ranked]
    hot = hot_connections(load, connections)
    if hot in {0, connections}:
        return [1 / connections] * connections
    rest = connections - hot
    return [_HOT_BETS / hot] * hot + [(1 - _HOT_BETS) / rest] * rest


def hot_connections(load: Load, connections: int) -> int:
    """How many of the first connections are the hot player's."""
    return max(1, round(connections * _HOT_CONNECTIONS)) if load == "hot" else 0


def carried(load: Load, tokens: Sequence[str]) -> list[str]:
    """The token of each connection: the hot player's is the first."""
    hot = hot_connections(load, len(tokens))
    return [*[tokens[0]] * hot, *tokens[hot:]]


def depths(load: Load, connections: int, depth: int) -> list[int]:
    """How many messages each connection keeps in flight in a closed loop.

    All wait about as long for an answer, so that bets come in proportion to this. There are
    `connections` x `depth` in all; where these are few, an unlikely wallet may get none.
    """
    total = connections * depth
    exact = [weight * total for weight in weights(load, connections)]
    whole = [int(share) for share in exact]
    by_rest = sorted(range(connections), key=lambda at: whole[at] - exact[at])
    for at in by_rest[: total - sum(whole)]:
        whole[at] += 1
    return whole
