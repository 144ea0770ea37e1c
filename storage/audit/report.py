"""What an audit reports: how much it looked at, the books of each currency, and what is wrong."""

from typing import Final

import msgspec

# Findings that are listed. The first few name the fault; after a hundred, more say nothing new.
# More: the check that found them stops, and the report says that there are more.
MAX_FINDINGS: Final = 100


class Finding(msgspec.Struct, frozen=True):
    """Something that does not add up. `check` is the name of what found it."""

    check: str
    text: str
    wallet_id: int | None = None
    seq: int | None = None


class Totals(msgspec.Struct):
    """The books of one currency in minor units.

    `in_flight` is under way between wallets. `house` is stakes minus payouts, by the seeds. In good
    books wallets + in_flight = deposits + faucet - withdrawals - house.
    """

    currency: str
    wallets: int = 0
    in_flight: int = 0
    deposits: int = 0
    faucet: int = 0
    withdrawals: int = 0
    house: int = 0

    @property
    def missing(self) -> int:
        """What should exist and does not; negative if there is too much."""
        made = self.deposits + self.faucet - self.withdrawals - self.house
        return made - self.wallets - self.in_flight


class Report(msgspec.Struct):
    """The result of an audit."""

    wallets: int = 0
    rows: int = 0
    bets: int = 0
    rounds: int = 0
    transfers: int = 0
    seed_pairs: int = 0
    messages_waiting: int = 0
    snapshots: int = 0
    totals: dict[str, Totals] = msgspec.field(default_factory=dict)
    findings: list[Finding] = msgspec.field(default_factory=list)
    more_findings: bool = False

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def full(self) -> bool:
        """Whether the list of findings has reached its bound, so that looking on is idle."""
        return self.more_findings

    def found(
        self, check: str, text: str, wallet_id: int | None = None, seq: int | None = None
    ) -> None:
        """Add a finding, unless there are MAX_FINDINGS already."""
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(check, text, wallet_id, seq))
        else:
            self.more_findings = True

    def of(self, currency: str) -> Totals:
        """The books of `currency`."""
        return self.totals.setdefault(currency, Totals(currency))
