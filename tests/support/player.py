"""A player with money and a clock, for tests of what limits and breaks refuse."""

from datetime import UTC, datetime
from typing import Any

from actors.wallet.commands import Adjust
from actors.wallet.facts import DEPOSIT
from protocol.commands.limits import LimitKind, Period, PlayLimits, SetLimit
from protocol.commands.mines import StartMines
from protocol.errors import ErrorKind, Failure
from tests.support.wallets import OPERATOR, Wallets, refusal, request, roll

ALICE, BOB = 1, 2
HOUR = 3_600_000
DAY = 24 * HOUR
NEVER_WINS = 9_999  # over 99.99: one outcome in 10001


def at(text: str) -> int:
    """A time of the clock in UTC, in milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


class Player(Wallets):
    """Alice, who has 1,000.00 PLAY and plays dice so that every bet loses."""

    def __init__(self, clock: str = "2027-01-14 12:00:00") -> None:
        super().__init__()
        # Funded long ago: what is counted begins with the test.
        self.set_clock(at("2020-01-01"))
        self.fund(ALICE, 100_000)
        self.set_clock(at(clock))
        self.number = 0

    def do(self, command: Any) -> Any:
        """Give a command, and return its answer."""
        return self.act(ALICE, command).reply

    def lose(self, stake: int, currency: str = "PLAY") -> None:
        """Bet, and lose."""
        self.number += 1
        reply = self.do(roll(self.number, stake, NEVER_WINS, currency=currency))
        assert reply.payout == 0

    def win(self, stake: int) -> int:
        """Bet on what wins with these seeds, and return the profit."""
        self.number += 1
        profit: int = self.do(roll(self.number, stake, 1_000)).payout - stake
        assert profit > 0
        return profit

    def hold(self, stake: int) -> int:
        """Start a game whose stake is held, and return the number of the hold."""
        self.number += 1
        self.do(StartMines(stake, "PLAY", 3, request(self.number)))
        return self.state(ALICE).seq

    def limit(
        self, kind: LimitKind, period: Period, amount: int | None, currency: str = "PLAY"
    ) -> PlayLimits:
        """Set a limit."""
        reply: PlayLimits = self.do(SetLimit(kind, period, currency, amount))
        return reply

    def refuses(self, stake: int, currency: str = "PLAY") -> ErrorKind | None:
        """Why a bet is refused; None if it would be taken."""
        bet = roll(999, stake, NEVER_WINS, currency=currency)
        return refusal(lambda: self.decide(ALICE, bet))

    def details(self, command: Any) -> dict[str, Any]:
        """What a refusal says."""
        try:
            self.decide(ALICE, command)
        except Failure as failure:
            return dict(failure.details)
        raise AssertionError("not refused")


def deposit(amount: int, currency: str = "PLAY") -> Adjust:
    return Adjust(DEPOSIT, currency, amount, OPERATOR, request(998))
