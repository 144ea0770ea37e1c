"""Rain in a world: what players ask for, and what its rows and answers must be."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from uuid import UUID

import msgspec

from actors.wallet.commands import StartRain
from actors.wallet.facts import Entry
from protocol.commands.rain import RainFell, RainStarted
from protocol.commands.wallet import BalanceOf

REFUSALS = {"nobody_active", "rain_too_small"}


def command(rng: Random, wallets: Sequence[int], wallet_id: int) -> StartRain:
    """A rain on some of the others, seldom on nobody."""
    return StartRain(
        _others(rng, wallets, wallet_id, least=rng.random() < 0.9),
        "feed",
        rng.choice((1, 5)),
        f"player{wallet_id}",
        "USD",
        rng.choice((2, rng.randint(1, 500), rng.randint(1, 500))),
        UUID(int=rng.getrandbits(128), version=4),
    )


def on_others(rng: Random, wallets: Sequence[int], wallet_id: int, asked: StartRain) -> StartRain:
    """The same request at another time, when others are there, or nobody."""
    return msgspec.structs.replace(asked, to=_others(rng, wallets, wallet_id, least=False))


def _others(rng: Random, wallets: Sequence[int], wallet_id: int, *, least: bool) -> tuple[int, ...]:
    others = [other for other in wallets if other != wallet_id]
    return tuple(rng.sample(others, rng.randint(least, len(others))))


def content(asked: StartRain) -> tuple[Any, ...]:
    """What a row must say that came of this command, the request id apart."""
    return ("rain", asked.currency, asked.amount_minor, asked.room, asked.minutes)


def content_of(row: Entry) -> tuple[Any, ...]:
    """The same, as a rain's first row says it."""
    said = json.loads(row.rain or "{}")
    return ("rain", row.currency, said["amount"], said["room"], said["minutes"])


def answer(first: Entry, rows: Sequence[Entry]) -> RainStarted:
    """What the wallet's rows say of a rain."""
    said = json.loads(first.rain or "{}")
    fell = rows[first.seq - 1 : first.seq - 1 + said["receivers"]]
    taken = -sum(row.available_delta for row in fell)
    last = fell[-1]
    return RainStarted(
        room=said["room"],
        currency=first.currency,
        share=-first.available_delta,
        receivers=len(fell),
        taken=taken,
        remainder=said["amount"] - taken,
        balance=BalanceOf(last.currency, last.available_after, last.held_after, last.seq),
    )


class Rains:
    """All rains that are committed."""

    def __init__(self, fail: Callable[[str], None]) -> None:
        self._fail = fail
        self._fallen: set[tuple[str, str, int, int]] = set()

    def enter(self, facts: Sequence[Any]) -> None:
        """Enter the rains of one transaction, and check that each is whole."""
        sent = [fact for fact in facts if isinstance(fact, Entry) and fact.kind == "rain_sent"]
        while sent:
            first = sent[0]
            if first.rain is None:
                self._fail(f"no rain begins with {first}")
                return
            said = json.loads(first.rain)
            count = said["receivers"]
            share, fell = said["amount"] // count, sent[:count]
            expected = [
                (first.wallet_id, first.seq + i, first.currency, -share) for i in range(count)
            ]
            made = [(row.wallet_id, row.seq, row.currency, row.available_delta) for row in fell]
            whom = {row.counterparty for row in fell} - {first.wallet_id}
            if made != expected or len(whom) != count or any(row.rain for row in fell[1:]):
                self._fail(f"{fell} are not the rain {said}")
            self._fallen.add((said["room"], first.currency, share, count))
            del sent[:count]

    def told(self, fell: RainFell) -> None:
        """A room was told."""
        if (fell.room, fell.currency, fell.share, fell.receivers) not in self._fallen:
            self._fail(f"{fell} was told, but is not committed")
