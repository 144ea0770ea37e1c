"""The audit of the ledger: everything that committed rows must add up to, computed once more.

It shares no arithmetic with the rules. What the rows of bets, seeds and tips say is computed again
from what they rest on, so that a mistake in a rule shows as well as a damaged row.
"""

from storage.audit.report import Finding, Report, Totals
from storage.audit.run import audit

__all__ = ["Finding", "Report", "Totals", "audit"]
