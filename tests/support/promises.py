"""What a player was told of a command, held against the row that it left in the ledger."""

import json
from typing import Any

Fields = dict[str, Any]


def kept(promised: Fields, row: Any) -> bool:
    """Whether a committed row is what its player was told, in the answer to its request."""
    if row["game"] == "crash":
        # The table answers such a bet, and knows no balances.
        told = (promised["bet_id"], promised["stake"], promised["currency"])
        return told == (_bet_id(row), row["stake"], row["currency"])
    if promised["balance"]["available"] != row["available_after"]:
        return False
    if row["kind"] == "bet":
        roll = json.loads(row["outcome"])["roll"]
        told = (promised["bet_id"], promised["payout"], promised["roll"])
        return told == (_bet_id(row), row["payout"], roll)
    if row["kind"] == "tip_sent":
        return bool(promised["seq"] == row["seq"])
    return _is_step(promised, row)


def _is_step(promised: Fields, row: Any) -> bool:
    """Whether a step of a game of mines is what its player was told."""
    if promised["bet_id"] != _bet_id(row):
        return False
    if row["kind"] == "hold":
        return bool(promised["stake"] == row["stake"])
    outcome = json.loads(row["outcome"])
    if row["kind"] == "reveal":
        return bool(promised["revealed"] == outcome["revealed"])
    told = (promised["payout"], promised["revealed"], promised["mined"], promised["ended"])
    return told == (row["payout"], outcome["picked"], outcome["mines"], outcome["ended"])


def _bet_id(row: Any) -> str:
    """The public id of the bet that a row begins, or goes on with."""
    return f"{row['wallet_id']}-{row['hold'] or row['seq']}"
