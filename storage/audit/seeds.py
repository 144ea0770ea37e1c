"""The seed pairs of one wallet after the other, and how far their nonces have come."""

import hashlib
from typing import Any

from storage.audit.report import Report


class Seeds:
    """The pair in force as the ledger is read in order. One wallet is in memory at a time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._wallet_id = 0
        self._pair: Any = None
        self._server_seed: str | None = None
        self._next_nonce = 0

    def issue(self, pair: Any, server_seed: str | None) -> None:
        """Take the next pair of a wallet; None if its server seed cannot be opened."""
        before = self._pair if self._pair and self._wallet_id == pair["wallet_id"] else None
        same = before is not None and before["server_number"] == pair["server_number"]
        expected_nonce = self._next_nonce if same else 0
        for check, text in (
            *_order(pair, before),
            *_commitment(pair, server_seed, before, self._server_seed if same else None, same),
        ):
            self._report.found(check, text, pair["wallet_id"], pair["after_seq"])
        if pair["first_nonce"] != expected_nonce:
            text = f"pair {pair['number']} begins at nonce {pair['first_nonce']}"
            text = f"{text} instead of {expected_nonce}"
            self._report.found("nonce", text, pair["wallet_id"], pair["after_seq"])
        self._wallet_id = pair["wallet_id"]
        self._pair = pair
        self._server_seed = server_seed
        self._next_nonce = expected_nonce

    def draw(self, bet: Any) -> tuple[str, str] | None:
        """The seeds that a bet drew from, its nonce being the next; None if they are unknown."""
        at = (bet["wallet_id"], bet["seq"])
        pair = self._pair if self._wallet_id == bet["wallet_id"] else None
        number = pair["number"] if pair else None
        if pair is None or number != bet["pair"]:
            text = f"it draws from pair {bet['pair']} while {number or 'none'} is in force"
            self._report.found("pair", text, *at)
            return None
        if bet["nonce"] != self._next_nonce:
            text = f"it takes nonce {bet['nonce']}, the next is {self._next_nonce}"
            self._report.found("nonce", text, *at)
        # After a nonce that was skipped or taken twice, the rest may still be in order.
        self._next_nonce = max(self._next_nonce, bet["nonce"] + 1)
        if self._server_seed is None:
            return None
        return self._server_seed, pair["client_seed"]


def _order(pair: Any, before: Any) -> list[tuple[str, str]]:
    number, server_number, after_seq = (
        (before["number"], before["server_number"], before["after_seq"]) if before else (0, 0, 0)
    )
    found = []
    if pair["number"] != number + 1:
        found.append(("pair_order", f"pair {pair['number']} follows pair {number}"))
    # A new client seed keeps the server seed, if there is one.
    if pair["server_number"] - server_number not in ({0, 1} if before else {1}):
        text = f"server seed {pair['server_number']} follows server seed {server_number}"
        found.append(("pair_order", text))
    if pair["after_seq"] < after_seq:
        text = f"pair {pair['number']} was issued before the pair it follows"
        found.append(("pair_order", text))
    return found


def _commitment(
    pair: Any, server_seed: str | None, before: Any, kept: str | None, same: bool
) -> list[tuple[str, str]]:
    if server_seed is None:
        text = f"the server seed of pair {pair['number']} cannot be opened with this key"
        return [("seed_sealed", text)]
    found = []
    if hashlib.sha256(server_seed.encode()).hexdigest() != pair["server_seed_hash"]:
        text = f"the server seed of pair {pair['number']} does not have the hash that was shown"
        found.append(("seed_hash", text))
    if same and kept is not None and kept != server_seed:
        text = f"pair {pair['number']} has another server seed than pair {before['number']}"
        found.append(("seed_changed", f"{text}, and the same number of it"))
    return found
