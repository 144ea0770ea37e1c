"""What a game of mines must have come to, from the published scheme and nothing of ours."""

import hashlib
import hmac
from fractions import Fraction
from typing import Any, Final

import msgspec

_TILES: Final = 25


class _Chosen(msgspec.Struct, forbid_unknown_fields=True):
    mines: int


class _Settled(msgspec.Struct, forbid_unknown_fields=True):
    mines: list[int]
    picked: list[int]
    multiplier: int
    ended: str


class _Picked(msgspec.Struct):
    tile: int


_chosen = msgspec.json.Decoder(_Chosen).decode
_picked = msgspec.json.Decoder(_Picked).decode
_settled = msgspec.json.Decoder(_Settled).decode


class Game:
    """A game from the row that opened it to the one that ends it."""

    def __init__(
        self, server_seed: str, client_seed: str, nonce: int, stake: int, parameters: str
    ) -> None:
        """Lay the mines.

        Raises:
            ValueError: No game can have these parameters.
        """
        self._mines = _chosen(parameters).mines
        self._stake = stake
        self._picked: list[int] = []
        if not 1 <= self._mines < _TILES:
            raise ValueError(f"{self._mines} of {_TILES} tiles leave no way to win or to lose")
        self._mined = _lay(server_seed, client_seed, nonce, self._mines)

    def reveal(self, outcome: str) -> dict[str, Any]:
        """Pick the tile of a row that goes on: the outcome that the row must have.

        Raises:
            ValueError: No game goes on by this tile.
        """
        tile = _picked(outcome).tile
        if not self._is_new(tile) or tile in self._mined:
            raise ValueError(f"no game goes on after tile {tile}")
        self._picked.append(tile)
        return {
            "tile": tile,
            "revealed": list(self._picked),
            "mines": self._mines,
            "stake": self._stake,
        }

    def settle(self, outcome: str) -> tuple[dict[str, Any], int]:
        """The outcome and the payout that follow from the tiles of the row that ends the game.

        Whether a pick won so much that the game had to end there is not in the rows: any safe pick
        may be the last.

        Raises:
            ValueError: No game ends with these tiles.
        """
        picked = _settled(outcome).picked
        cashed_out = picked == self._picked
        if not picked or not (cashed_out or picked[:-1] == self._picked):
            raise ValueError(f"{picked} were picked, but {self._picked} before")
        if not cashed_out and not self._is_new(picked[-1]):
            raise ValueError(f"tile {picked[-1]} cannot be picked")
        worth = Fraction(0)
        if cashed_out:
            ended = "cashout"
        elif picked[-1] in self._mined:
            ended = "mine"
        else:
            ended = "cleared" if len(picked) == _TILES - self._mines else "limit"
        if ended != "mine":
            worth = self._worth(len(picked))
        expected = {
            "mines": sorted(self._mined),
            "picked": picked,
            "multiplier": int(worth * 100),
            "ended": ended,
        }
        return expected, int(worth * self._stake)

    def _is_new(self, tile: int) -> bool:
        return 0 <= tile < _TILES and tile not in self._picked

    def _worth(self, picks: int) -> Fraction:
        """99 % of what is fair: one over the chance that so many picks are all safe."""
        worth = Fraction(99, 100)
        for done in range(picks):
            worth *= Fraction(_TILES - done, _TILES - self._mines - done)
        return worth


def _lay(server_seed: str, client_seed: str, nonce: int, mines: int) -> set[int]:
    free = list(range(_TILES))
    digits = "".join(
        hmac.new(
            server_seed.encode(), f"{client_seed}:{nonce}:{block}".encode(), hashlib.sha256
        ).hexdigest()
        for block in range(3)
    )
    words = (int(digits[place : place + 8], 16) for place in range(0, len(digits), 8))
    return {free.pop(next(words) * len(free) // 2**32) for _mine in range(mines)}
