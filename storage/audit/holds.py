"""Every hold ends once at most, by a row that fits it, and what is held is what open holds hold."""

from collections import defaultdict
from typing import Any, Final

import msgspec

from storage.audit import mines
from storage.audit.report import Report
from storage.audit.seeds import Seeds

# Games in several steps: what follows the seeds of a player's, and those that draw from others.
GAMES: Final = {"mines": mines.Game, "crash": None}


class _Open(msgspec.Struct):
    """A hold that has not ended. No game: its seeds are not known, or it draws from others."""

    game: str
    currency: str
    stake: int
    play: mines.Game | None


class Holds:
    """The open holds as the ledger is read in order. One wallet's are in memory at a time."""

    def __init__(self, seeds: Seeds, report: Report) -> None:
        self._seeds = seeds
        self._report = report
        self._wallet_id = 0
        self._open: dict[int, _Open] = {}
        self._held: dict[str, int] = defaultdict(int)
        self._excess: dict[str, int] = {}
        """By how much the rows held more than open holds do, as far as that is reported."""

    def enter(self, row: Any) -> int:
        """Take the next row, whatever its kind; what the house has made by it, if it is a step."""
        if row["wallet_id"] != self._wallet_id:
            self._wallet_id = row["wallet_id"]
            self._open.clear()
            self._held.clear()
            self._excess.clear()
        house = 0
        match row["kind"]:
            case "hold":
                self._begin(row)
            case "reveal":
                self._reveal(row)
            case "settle":
                house = row["stake"] - self._settle(row)
            case "release":
                self._end(row)
        self._check_held(row)
        return house

    def _found(self, check: str, text: str, row: Any) -> None:
        self._report.found(check, text, row["wallet_id"], row["seq"])

    def _check_held(self, row: Any) -> None:
        currency = row["currency"]
        excess = row["held_after"] - self._held[currency]
        if excess != self._excess.get(currency, 0):
            text = f"{row['held_after']} {currency} held, but {self._held[currency]} in open holds"
            if excess:
                self._found("held", text, row)
            self._excess[currency] = excess

    def _begin(self, row: Any) -> None:
        self._report.bets += 1
        game, play = row["game"], None
        if game not in GAMES:
            self._found("game", f"there is no game {game} in several steps", row)
        elif (GAMES[game] is None) != (row["pair"] is None):
            draws = "draws from no pair" if row["pair"] is None else "draws from a pair"
            self._found("pair", f"a bet of {game} that {draws}", row)
        elif row["pair"] is not None:
            play = self._play(row)
        self._open[row["seq"]] = _Open(game, row["currency"], row["stake"], play)
        self._held[row["currency"]] += row["stake"]

    def _play(self, row: Any) -> mines.Game | None:
        drawn, rules = self._seeds.draw(row), GAMES[row["game"]]
        if drawn is None or rules is None:
            return None
        try:
            return rules(*drawn, row["nonce"], row["stake"], row["parameters"])
        except (ValueError, msgspec.DecodeError) as error:
            self._found("parameters", f"{row['parameters']}: {error}", row)
            return None

    def _hold_of(self, row: Any) -> _Open | None:
        """The open hold that a later row goes on with, if it is one and fits."""
        hold = self._open.get(row["hold"])
        if hold is None:
            text = f"a {row['kind']} of the hold of row {row['hold']}, which is not open"
            self._found("hold", text, row)
            return None
        stake = hold.stake if row["kind"] == "reveal" else row["stake"]
        if (row["game"], row["currency"], stake) != (hold.game, hold.currency, hold.stake):
            text = f"{row['kind']} of {stake} {row['currency']} on {row['game']}, held were"
            self._found("hold", f"{text} {hold.stake} {hold.currency} on {hold.game}", row)
        return hold

    def _reveal(self, row: Any) -> None:
        hold = self._hold_of(row)
        if hold is None or hold.play is None:
            return
        try:
            outcome = hold.play.reveal(row["outcome"])
        except (ValueError, msgspec.DecodeError) as error:
            self._found("outcome", f"{row['outcome']}: {error}", row)
            return
        self._compare(outcome, row)

    def _end(self, row: Any) -> _Open | None:
        hold = self._hold_of(row)
        if hold is not None:
            del self._open[row["hold"]]
            self._held[hold.currency] -= hold.stake
        return hold

    def _settle(self, row: Any) -> int:
        """The payout that is due; where that cannot be known, the one that was paid."""
        hold, paid = self._end(row), row["payout"]
        if hold is None or hold.play is None:
            return int(paid)
        try:
            outcome, due = hold.play.settle(row["outcome"])
        except (ValueError, msgspec.DecodeError) as error:
            self._found("outcome", f"{row['outcome']}: {error}", row)
            return int(paid)
        self._compare(outcome, row)
        if paid != due:
            self._found("payout", f"{paid} was paid, {due} is due", row)
        return due

    def _compare(self, outcome: dict[str, Any], row: Any) -> None:
        if msgspec.json.decode(row["outcome"]) != outcome:
            text = f"the row says {row['outcome']}, the seeds say {outcome}"
            self._found("outcome", text, row)
