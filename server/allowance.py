"""The budgets of every caller: by user where there is one, by address before."""

from collections.abc import Mapping

from protocol.catalogue import Rate
from server.budget import Budget, Budgets, Clock


class Allowance:
    """Hands each caller its buckets; all sockets and requests of one user share them."""

    def __init__(self, rates: Mapping[Rate, tuple[float, int]], clock_s: Clock) -> None:
        self._users = {rate: Budgets(*rates[rate], clock_s) for rate in (Rate.BETS, Rate.COMMANDS)}
        self._sign_in = Budgets(*rates[Rate.SIGN_IN], clock_s)

    def of_user(self, user_id: int, address: str) -> Mapping[Rate, Budget]:
        """The buckets of a user who calls from `address`."""
        budgets = {rate: budgets.of(user_id) for rate, budgets in self._users.items()}
        return {**budgets, Rate.SIGN_IN: self._sign_in.of(address)}

    def of_stranger(self, address: str) -> Mapping[Rate, Budget]:
        """The buckets of somebody without a token, who shares them with their address."""
        budgets = {rate: budgets.of(address) for rate, budgets in self._users.items()}
        return {**budgets, Rate.SIGN_IN: self._sign_in.of(address)}
