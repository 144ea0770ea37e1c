"""Makes fairness.json: `python -m tests.vectors.maker > tests/vectors/fairness.json`.

What is expected is computed here from docs/fairness.md, with hashlib and fractions, by nothing of
the project. `given` has the names and units of records: minor units, and hundredths. The result is
text, so that no float comes between.
"""

import hashlib
import hmac
import json
import random
import sys
from collections.abc import Iterator
from fractions import Fraction
from math import floor
from typing import Any

Given = dict[str, Any]
Case = dict[str, Given]

# From the middle bucket outward, as they are published.
BOARDS = {
    "low": """
        0.5 1 1.1 2.1 5.6
        0.7 1 1.6 2 5.6
        0.5 1 1.1 1.4 3 8.9
        0.7 1 1.3 1.9 3 8.4
        0.5 1 1.1 1.4 1.6 3 10
        0.7 0.9 1.2 1.9 3 4 8.1
        0.5 1 1.1 1.3 1.4 1.9 4 7.1
        0.7 1 1.1 1.5 2 3 8 15
        0.5 1 1.1 1.2 1.4 1.4 2 9 16
    """,
    "medium": """
        0.4 0.7 1.3 3 13
        0.5 0.9 1.7 4 18
        0.4 0.6 1.4 2 5 22
        0.5 0.7 1.8 3 6 24
        0.3 0.6 1.1 2 4 11 33
        0.4 0.7 1.3 3 6 13 43
        0.2 0.5 1 1.9 4 7 15 58
        0.3 0.5 1.3 3 5 11 18 88
        0.3 0.5 1 1.5 3 5 10 41 110
    """,
    "high": """
        0.2 0.3 1.5 4 29
        0.2 0.6 2 7 43
        0.2 0.3 0.9 3 10 76
        0.2 0.4 1.4 5.2 14 120
        0.2 0.2 0.7 2 8.1 24 170
        0.2 0.2 1 4 11 37 260
        0.2 0.2 0.3 1.9 5 18 56 420
        0.2 0.2 0.5 3 8 27 83 620
        0.2 0.2 0.2 2 4 9 27 130 1000
    """,
}
MOST = Fraction(1_000_000)
MAX_MINOR = 2**53 - 1
STAKES = (1, 99, 100, 12_345, 1_000_000)
CLIENT_SEEDS = ("pitboss", "~!player#1;", "0", "a" * 64, '"quoted"&<b>')


def sha256(text: str) -> str:
    """In hexadecimal."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def hmac_bits(key: str, message: str) -> str:
    """All 256 bits, as 0 and 1."""
    digest = hmac.new(key.encode("ascii"), message.encode("ascii"), hashlib.sha256).hexdigest()
    return f"{int(digest, 16):0256b}"


def fractions(seeds: Given) -> Iterator[Fraction]:
    """The words of a bet, each as a fraction of 2**32."""
    number = 0
    while True:
        message = f"{seeds['client_seed']}:{seeds['nonce']}:{number}"
        bits = hmac_bits(seeds["server_seed"], message)
        for at in range(0, 256, 32):
            yield Fraction(int(bits[at : at + 32], 2), 2**32)
        number += 1


def seeds_of(game: str, number: int) -> Given:
    """Seeds as they are, with early, late and last nonces."""
    return {
        "server_seed": sha256(f"{game} {number // 4}"),
        "client_seed": CLIENT_SEEDS[number % len(CLIENT_SEEDS)],
        "nonce": (number, 0, 10**6 + number, MAX_MINOR)[number % 4],
    }


def bounded(multiplier: Fraction) -> Fraction:
    """Rounded down to hundredths, from 1.00 to 1,000,000.00."""
    return min(MOST, max(Fraction(1), Fraction(floor(multiplier * 100), 100)))


def two_decimals(value: Fraction) -> str:
    """Rounded down."""
    whole, rest = divmod(floor(value * 100), 100)
    return f"{whole}.{rest:02d}"


def dice(number: int) -> Case:
    """Over and under, by turns; every fifth target is what was rolled, which loses."""
    seeds = seeds_of("dice", number)
    roll = floor(next(fractions(seeds)) * 10_001)
    chance = random.Random(number)
    target = max(1, min(9_999, roll if number % 5 == 0 else chance.randrange(1, 10_000)))
    over = number % 2 == 0
    stake = STAKES[number % len(STAKES)]
    winning = 10_000 - target if over else target
    won = roll > target if over else roll < target
    payout = floor(stake * Fraction(99, 100) / Fraction(winning, 10_001)) if won else 0
    given = {
        **seeds, "target": target, "direction": "over" if over else "under", "stake": stake
    }  # fmt: skip
    result = two_decimals(Fraction(roll, 100))
    return {"given": given, "expected": {"result": result, "won": won, "payout": payout}}


def limbo(number: int) -> Case:
    """The last four nonces are searched for: 1.00, above 100, above 1000, and below 2."""
    seeds = seeds_of("limbo", number)
    if number >= 20:
        least, most = ((1, 1), (100, 200), (1_000, 10_000), (1, 2))[number - 20]
        while not least <= limbo_result(seeds) <= most:
            seeds["nonce"] += 1 if seeds["nonce"] < 10**9 else -1
    result = limbo_result(seeds)
    reached = floor(result * 100)
    target = max(101, min(10**8, (reached, reached + 1, 200, 101)[number % 4]))
    stake = STAKES[number % len(STAKES)]
    won = reached >= target
    payout = floor(stake * Fraction(target, 100)) if won else 0
    given = {**seeds, "target": target, "stake": stake}
    expected = {"result": two_decimals(result), "won": won, "payout": payout}
    return {"given": given, "expected": expected}


def limbo_result(seeds: Given) -> Fraction:
    """Rounded down to hundredths, from 1.00 to 1,000,000.00."""
    drawn = next(fractions(seeds))
    return MOST if drawn == 0 else bounded(Fraction(99, 100) / drawn)


def plinko(number: int) -> Case:
    """Every board once."""
    risk, rows = list(BOARDS)[number % 3], 8 + number // 3
    seeds = seeds_of("plinko", number)
    words = fractions(seeds)
    bucket = sum(next(words) >= Fraction(1, 2) for _ in range(rows))
    outward = BOARDS[risk].strip().splitlines()[rows - 8].split()
    # Bucket and its mirror image pay the same.
    whole = outward[::-1] + outward[1 - rows % 2 :]
    multiplier = whole[bucket]
    stake = STAKES[number % len(STAKES)]
    given = {**seeds, "rows": rows, "risk": risk, "stake": stake}
    payout = floor(stake * Fraction(multiplier))
    return {
        "given": given, "expected": {"result": multiplier, "bucket": bucket, "payout": payout}
    }  # fmt: skip


def mines(number: int) -> Case:
    """Every number of mines once; picks end safely or on a mine, by turns."""
    count = number + 1
    seeds = seeds_of("mines", number)
    words, tiles, drawn = fractions(seeds), list(range(25)), []
    for _ in range(count):
        tile = tiles[floor(next(words) * len(tiles))]
        tiles.remove(tile)
        drawn.append(tile)
    chance = random.Random(number)
    picked = chance.sample(tiles, chance.randint(1, len(tiles)))
    lost = number % 3 == 2
    if lost:
        picked[-1] = chance.choice(drawn)
    stake = STAKES[number % len(STAKES)]
    odds = Fraction(99, 100)
    for pick in range(len(picked)):
        odds *= Fraction(25 - pick, 25 - count - pick)
    given = {**seeds, "mines": count, "picked": picked, "stake": stake}
    payout = 0 if lost else floor(stake * odds)
    return {
        "given": given, "expected": {"result": sorted(drawn), "won": not lost, "payout": payout}
    }  # fmt: skip


def crash(number: int) -> Case:
    """Rounds of one chain; the last four are searched for: two instant busts, two high ones."""
    seed = f"00000000000000000001{sha256('a block')[20:]}" if number % 2 else "trial-seed"
    name = f"round {number}"
    if number >= 20:
        least, most = ((1, 1), (1, 1), (50, 100), (1_000, 10_000))[number - 20]
        tried = 0
        while not least <= bust(sha256(name), seed) <= most:
            tried += 1
            name = f"round {number}.{tried}"
    before, round_hash = sha256(sha256(name)), sha256(name)
    reached = floor(bust(round_hash, seed) * 100)
    cashout = max(101, (reached, reached + 1, 101, 200)[number % 4])
    stake = STAKES[number % len(STAKES)]
    won = cashout <= reached
    payout = floor(stake * Fraction(cashout, 100)) if won else 0
    given = {
        "hash": round_hash, "public_seed": seed, "hash_before": before, "cashout": cashout,
        "stake": stake,
    }  # fmt: skip
    result = two_decimals(bust(round_hash, seed))
    return {"given": given, "expected": {"result": result, "won": won, "payout": payout}}


def bust(round_hash: str, seed: str) -> Fraction:
    """Rounded down to hundredths, from 1.00 to 1,000,000.00."""
    drawn = Fraction(int(hmac_bits(round_hash, seed)[:52], 2), 2**52)
    return bounded(Fraction(97, 100) / (1 - drawn))


def text() -> str:
    """The whole file, one case a line."""
    games = {dice: 24, limbo: 24, plinko: 27, mines: 24, crash: 24}
    parts = []
    for game, count in games.items():
        lines = ",\n".join(f"  {json.dumps(game(number))}" for number in range(count))
        parts.append(f'"{game.__name__}": [\n{lines}\n]')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.stdout.write(text())
