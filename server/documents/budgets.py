"""A caller's budgets, in words and for programs."""

from collections.abc import Mapping
from typing import Any, Final

from protocol.catalogue import Rate

Rates = Mapping[Rate, tuple[float, int]]
"""How many a second flow into each budget, and how many it holds at most."""

_SHARED: Final = {
    Rate.BETS: "all sockets and requests of a user",
    Rate.COMMANDS: "all sockets and requests of a user",
    Rate.SIGN_IN: "all requests from an address",
}


def sentence(rate: Rate, rates: Rates) -> str:
    """`100 a second, 100 at once; shared by ...`."""
    per_second, burst = rates[rate]
    speed = f"{per_second:g} a second" if per_second >= 1 else f"{per_second * 60:g} a minute"
    return f"{speed}, {burst} at once; shared by {_SHARED[rate]}"


def extension(rate: Rate, rates: Rates) -> dict[str, Any]:
    """The same as `x-rate-limit` has it."""
    per_second, burst = rates[rate]
    return {"budget": rate.value, "per_second": per_second, "burst": burst}
