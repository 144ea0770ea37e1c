"""Games of mines, as players play them and as the books follow them, without the rules."""

import hmac
import json
from fractions import Fraction
from random import Random
from typing import Any
from uuid import UUID

from actors.wallet.facts import Entry
from protocol.commands.mines import CashOutMines, GetMines, RevealTile, StartMines


def steps(rng: Random) -> list[Any]:
    """A game as a player might play it: two picks that may be one, a look, and a cash-out.

    Some leave their game open, some begin with the end.
    """
    currency = rng.choice(("USD", "USD", "USD", "BTC"))

    def fresh() -> UUID:
        return UUID(int=rng.getrandbits(128), version=4)

    # One pick among 18 mines with the high stake wins so much that another is not allowed.
    stake = rng.choice((rng.randint(10, 600), rng.randint(10, 600), 20_000))
    count = rng.choice((1, 1, 3, 10, 18, 23, 24))
    tile = rng.randrange(25)
    commands = [
        StartMines(stake, currency, count, fresh()),
        RevealTile(currency, tile, fresh()),
        GetMines(rng.choice((None, currency))),
        RevealTile(currency, rng.choice((tile, rng.randrange(25))), fresh()),
        CashOutMines(currency, fresh()),
    ]
    if rng.random() < 0.2:
        rng.shuffle(commands)
    return commands[: rng.choice((2, 3, 4, 5, 5))]


def mined(server_seed: str, client_seed: str, nonce: int, count: int) -> list[int]:
    """Where the mines lie, in ascending order, from the published scheme."""
    blocks = b"".join(
        hmac.digest(server_seed.encode(), f"{client_seed}:{nonce}:{block}".encode(), "sha256")
        for block in range(3)
    )
    words = [int.from_bytes(blocks[at : at + 4]) for at in range(0, 96, 4)]
    tiles = list(range(25))
    return sorted(tiles.pop(words[n] * len(tiles) // 2**32) for n in range(count))


def worth(mines: int, picks: int) -> Fraction:
    """The multiplier after safe picks: 99 % of one over their chance."""
    value = Fraction(99, 100)
    for pick in range(picks):
        value *= Fraction(25 - pick, 25 - mines - pick)
    return value


def content_of(row: Entry) -> tuple[Any, ...]:
    """What a step's command must have said, the request id apart."""
    assert row.step is not None
    if row.kind == "hold":
        chosen = json.loads(row.step.parameters or "")["mines"]
        return ("start", row.currency, row.step.stake_minor, chosen)
    outcome = json.loads(row.step.outcome or "")
    if row.kind == "reveal":
        return ("pick", row.currency, outcome["tile"])
    if outcome["ended"] == "cashout":
        return ("cash out", row.currency)
    return ("pick", row.currency, outcome["picked"][-1])


class Game:
    """One game, from the row that opened it, and what every later row of it must say."""

    def __init__(self, row: Entry, server_seed: str, client_seed: str) -> None:
        step = row.step
        assert step is not None
        assert step.stake_minor is not None
        assert step.nonce is not None
        self.currency = row.currency
        self.stake = step.stake_minor
        self.began_at = row.seq
        self.ended_at: int | None = None
        self.picks: list[tuple[int, int]] = []
        """The rows that revealed a safe tile, and which."""
        self.count = json.loads(step.parameters or "")["mines"]
        self.mined = mined(server_seed, client_seed, step.nonce, self.count)
        self._bet_id = f"{row.wallet_id}-{row.seq}"

    def open_at(self, seq: int) -> bool:
        """Whether it was open when row `seq` was the newest."""
        return self.began_at <= seq and (self.ended_at is None or seq < self.ended_at)

    def due(self, row: Entry, most_profit: int) -> tuple[dict[str, Any], int | None]:
        """The outcome that the next row must have, given its tile, and what it must pay."""
        assert row.step is not None
        said = json.loads(row.step.outcome or "")
        tiles = [tile for _seq, tile in self.picks]
        if row.kind == "reveal":
            tile = said["tile"]
            self.picks.append((row.seq, tile))
            safe = tile not in self.mined and tile not in tiles
            forced = self._last(len(tiles) + 1, most_profit)
            if not safe or forced:
                return {"instead": forced or "mine"}, None
            picked = [*tiles, tile]
            return {
                "tile": tile,
                "revealed": picked,
                "mines": self.count,
                "stake": self.stake,
            }, None
        self.ended_at = row.seq
        return self._end(said, tiles, most_profit)

    def _end(
        self, said: dict[str, Any], tiles: list[int], most_profit: int
    ) -> tuple[dict[str, Any], int]:
        picked, value = said["picked"], Fraction(0)
        if picked == tiles and tiles:
            ended = "cashout"
        elif picked[:-1] != tiles or picked[-1] in tiles:
            return {"instead": f"one more than {tiles}"}, 0
        elif picked[-1] in self.mined:
            ended = "mine"
        else:
            ended = self._last(len(picked), most_profit) or "not at all"
        if ended != "mine":
            value = worth(self.count, len(picked))
        outcome = {
            "mines": self.mined,
            "picked": picked,
            "multiplier": int(value * 100),
            "ended": ended,
        }
        return outcome, int(value * self.stake)

    def _last(self, picks: int, most_profit: int) -> str | None:
        if picks == 25 - self.count:
            return "cleared"
        most = int(worth(self.count, picks + 1) * self.stake)
        return "limit" if most - self.stake > most_profit else None

    def shown_at(self, seq: int) -> dict[str, Any]:
        """What its player sees while it is open and row `seq` is the newest."""
        tiles = [tile for at, tile in self.picks if at <= seq]
        value = worth(self.count, len(tiles)) if tiles else Fraction(0)
        return {
            **self._fixed(),
            "revealed": tiles,
            "multiplier": int(value * 100),
            "next_multiplier": int(worth(self.count, len(tiles) + 1) * 100),
            "payout": int(value * self.stake),
            "ended": None,
            "mined": None,
        }

    def answer(self, row: Entry) -> dict[str, Any]:
        """What whoever sent the command of this row must be told."""
        assert row.step is not None
        balance = {
            "currency": row.currency,
            "available": row.available_after,
            "held": row.held_after,
            "seq": row.seq,
        }
        if row.kind == "hold":
            drawn = {"pair": row.step.pair, "nonce": row.step.nonce}
            return {**self.shown_at(row.seq), "balance": balance, **drawn}
        if row.kind == "reveal":
            return {**self.shown_at(row.seq), "balance": balance}
        outcome = json.loads(row.step.outcome or "")
        return {
            **self._fixed(),
            "revealed": outcome["picked"],
            "multiplier": outcome["multiplier"],
            "next_multiplier": None,
            "payout": row.step.payout_minor,
            "ended": outcome["ended"],
            "mined": outcome["mines"],
            "balance": balance,
        }

    def _fixed(self) -> dict[str, Any]:
        return {
            "bet_id": self._bet_id,
            "currency": self.currency,
            "stake": self.stake,
            "mines": self.count,
        }
