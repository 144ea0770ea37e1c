"""The audit follows each hold to its end, and names what does not fit."""

from collections.abc import AsyncIterator
from random import Random

import msgspec
import pytest
import pytest_asyncio

from actors.fairness import Words
from actors.mines import odds
from actors.wallet.commands import ReleaseHold, SettleHold
from actors.wallet.facts import HOLD, Step
from actors.wallet.ledger import entry
from actors.wallet.state import apply
from storage.audit import mines
from tests.audit.ledger import ALICE, BOB, Ledger, store
from tests.audit.test_audit import after
from tests.support.databases import fresh_database
from tests.support.wallets import KIND, cash_out, pick, request, roll, start


def tiles(ledger: Ledger, nonce: int, count: int) -> tuple[list[int], list[int]]:
    """The safe tiles and the mined ones."""
    pair = ledger.state(ALICE).pair
    assert pair is not None
    mined = odds.positions(Words(pair.server_seed, pair.client_seed).of(nonce), count)
    return [tile for tile in range(25) if tile not in mined], list(mined)


def played() -> Ledger:
    """Alice's rows by number: 1 deposit; 2 to 5 a game cashed out after two picks; 6 to 8 one lost
    at its second; 9 a roll; 10 and 11 one cleared by its only safe tile; 12 deposit of USD; 13 a
    game in USD, still open; 14 and 15 a game with one pick, still open. Bob's: 1 deposit; 2 and 3
    bets on crash, of which 4 settles the second and 5 releases the first; 6 one still open.
    """  # noqa: D205 - a table, not a summary
    ledger = Ledger()
    ledger.fund(ALICE, 100_000)
    safe, _mined = tiles(ledger, 0, 3)
    ledger.do(ALICE, start(2, 1_000, 3), pick(3, safe[0]), pick(4, safe[1]), cash_out(5))
    safe, mined = tiles(ledger, 1, 5)
    ledger.do(ALICE, start(6, 500, 5), pick(7, safe[2]), pick(8, mined[0]))
    ledger.do(ALICE, roll(9, 100))
    safe, _mined = tiles(ledger, 3, 24)
    ledger.do(ALICE, start(10, 10, 24), pick(11, safe[0]))
    ledger.fund(ALICE, 5_000, "USD")
    ledger.do(ALICE, start(13, 200, 3, "USD"))
    safe, _mined = tiles(ledger, 5, 3)
    ledger.do(ALICE, start(14, 300, 3), pick(15, safe[0]))
    ledger.fund(BOB, 10_000)
    for number in (2, 3):
        _stake(ledger, number)
    ledger.do(BOB, SettleHold(3, 150, '{"multiplier":150}'), ReleaseHold(2, '{"reason":"late"}'))
    _stake(ledger, 6)
    return ledger


def _stake(ledger: Ledger, number: int) -> None:
    """Bob's bet on a crash round, as its wallet enters it."""
    state = ledger.state(BOB)
    step = Step("crash", stake_minor=100, parameters='{"round_id":"1-1","auto_cashout":null}')
    made = entry(
        state, ledger._context, HOLD, "PLAY", -100, request(number), held_delta=100, step=step
    )
    apply(state, made)
    ledger.facts[BOB].append(made)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ledger_url(migrated_postgres_url: str) -> AsyncIterator[str]:
    """A database with this ledger, which no test changes for good."""
    async with fresh_database(migrated_postgres_url) as dsn:
        await store(dsn, played())
        yield dsn


async def test_a_clean_ledger_passes(ledger_url: str) -> None:
    ledger = played()
    report = await after(ledger_url)
    in_play = sum(
        ledger.state(who).balance("PLAY").available + ledger.state(who).balance("PLAY").held
        for who in (ALICE, BOB)
    )

    # Bob plays without a table: that every stake has its round is audited by itself.
    assert {finding.check for finding in report.findings} == {"stake_join", "stake_unfounded"}
    assert report.bets == 9
    assert report.totals["PLAY"].house == 110_000 - in_play
    assert report.totals["PLAY"].wallets == in_play
    assert (report.totals["USD"].house, report.totals["USD"].wallets) == (0, 5_000)


DROP = "drop index wallet_entries_ending"


def changed(field: str, value: str) -> str:
    """A field of the outcome, changed."""
    return f"outcome = jsonb_set(outcome, '{{{field}}}', '{value}')"


# What is wrong, the checks that must notice, whose row it is, and what is changed there.
DAMAGE = [
    # What a row refers to.
    ("a settle of nothing", "hold held", ALICE, 5, "hold = 4"),
    ("a settle of a game that is over", "hold held", ALICE, 8, "hold = 2"),
    ("a settle of a later row", "hold held", ALICE, 8, "hold = 10"),
    ("a reveal of a game that is over", "hold outcome", ALICE, 7, "hold = 2"),
    ("a reveal of another game", "hold outcome", ALICE, 15, "hold = 13"),
    ("a step of another game", "hold", ALICE, 4, "game = 'crash'"),
    ("a settle in another currency", "hold", ALICE, 5, "currency = 'USD'"),
    ("a release of another stake", "hold kind", BOB, 5, "stake = 99"),
    ("an unknown game", "game hold", BOB, 2, "game = 'roulette'"),
    ("mines without seeds", "pair nonce", ALICE, 2, "pair = null, nonce = null"),
    ("crash with seeds", "pair", BOB, 2, "pair = 1, nonce = 0"),
    # What is held.
    ("a held amount", "held", ALICE, 9, "held_after = held_after + 5"),
    ("a stake", "kind held hold outcome payout", ALICE, 2, "stake = 999"),
    # What the seeds say.
    ("a nonce", "nonce outcome payout", ALICE, 6, "nonce = 0"),
    ("a roll on the nonce of a game", "nonce outcome", ALICE, 9, "nonce = 1"),
    ("a number of mines", "outcome", ALICE, 6, """parameters = '{"mines": 4}'"""),
    ("no number of mines", "parameters", ALICE, 6, """parameters = '{"mines": 25}'"""),
    ("parameters that are none", "parameters", ALICE, 6, "parameters = '[]'"),
    ("a tile that is not there", "outcome", ALICE, 3, changed("tile", "25")),
    ("a reveal that tells more", "outcome", ALICE, 3, changed("mined", "[1]")),
    ("a reveal of no tile", "outcome", ALICE, 3, "outcome = '[]'"),
    ("mines elsewhere", "outcome", ALICE, 5, changed("mines", "[1, 2, 3]")),
    ("a win called a loss", "outcome", ALICE, 5, changed("ended", '"mine"')),
    ("a multiplier", "outcome", ALICE, 5, changed("multiplier", "129")),
    ("picks left out", "outcome", ALICE, 5, changed("picked", "[]")),
    ("an outcome that is none", "outcome", ALICE, 8, "outcome = '{}'"),
    ("a payout", "payout kind", ALICE, 5, "payout = payout + 1"),
    ("a loss that was paid", "payout kind", ALICE, 8, "payout = 400"),
]


@pytest.mark.parametrize(("name", "checks", "who", "seq", "change"), DAMAGE)
async def test_damage_is_named(
    ledger_url: str, name: str, checks: str, who: int, seq: int, change: str
) -> None:
    # The damage is what no constraint would let in.
    free = (DROP, "alter table wallet_entries drop constraint wallet_entries_play")
    damage = f"update wallet_entries set {change} where wallet_id = {who} and seq = {seq}"  # noqa: S608 - ours
    found = {finding.check for finding in (await after(ledger_url, *free, damage)).findings}

    # The chain of balances, the books and snapshots suffer from some of it as well; Bob plays
    # without a table.
    others = {"balance", "books", "snapshot", "stake_join", "stake_unfounded"}
    assert found - others == {*checks.split()}, name


async def test_a_hold_that_ends_twice_is_named(ledger_url: str) -> None:
    report = await after(
        ledger_url,
        DROP,
        "insert into wallet_entries select wallet_id, 7, currency, kind, available_delta,"
        " held_delta, available_after + 150, held_after - 100, counterparty, gen_random_uuid(),"
        " at_ms, game, stake, payout, pair, nonce, parameters, outcome, hold"
        " from wallet_entries where wallet_id = 2 and seq = 4",
    )
    (twice,) = [finding for finding in report.findings if finding.check == "hold"]

    assert (twice.wallet_id, twice.seq) == (BOB, 7)
    assert "row 3, which is not open" in twice.text


async def test_a_lost_ending_leaves_more_in_holds_than_is_held(ledger_url: str) -> None:
    report = await after(ledger_url, "delete from wallet_entries where wallet_id = 1 and seq = 8")
    held = [(f.wallet_id, f.seq) for f in report.findings if f.check == "held"]

    assert held == [(ALICE, 9)], "named once, where it begins"


async def test_a_snapshot_without_its_open_game_is_named(ledger_url: str) -> None:
    ledger = played()
    state = ledger.state(ALICE)
    state.holds[14].revealed.clear()
    report = await after(
        ledger_url,
        f"update wallet_snapshots set state = '\\x{KIND.snapshot(state).hex()}'"  # noqa: S608 - hexadecimal
        " where wallet_id = 1",
    )

    (finding,) = [found for found in report.findings if found.wallet_id == ALICE]
    assert finding.check == "snapshot"
    assert "open holds" in finding.text


def test_the_audit_agrees_with_the_game() -> None:
    random = Random(7)
    for nonce in range(600):
        seeds = f"server {nonce}", f"client {nonce % 7}"
        count, stake = random.randint(1, 24), random.randint(1, 2**53)
        mined = odds.positions(Words(*seeds).of(nonce), count)
        game = mines.Game(*seeds, nonce, stake, f'{{"mines": {count}}}')
        safe = [tile for tile in range(25) if tile not in mined]
        picked = random.sample(safe, random.randint(1, len(safe)))
        for n, tile in enumerate(picked, 1):
            assert game.reveal(f'{{"tile": {tile}}}') == {
                "tile": tile, "revealed": picked[:n], "mines": count, "stake": stake
            }  # fmt: skip
        outcome = msgspec.json.encode(
            {"mines": [], "picked": picked, "multiplier": 0, "ended": ""}
        ).decode()

        assert game.settle(outcome) == (
            {
                "mines": sorted(mined),
                "picked": picked,
                "multiplier": odds.multiplier(count, len(picked)),
                "ended": "cashout",
            },
            odds.payout(stake, count, len(picked)),
        )


def test_every_row_of_the_ledger_is_what_it_says() -> None:
    """The docstring of `played` numbers them."""
    ledger = played()
    rows = {who: " ".join(made.kind for made in ledger.entries(who)) for who in (ALICE, BOB)}

    assert rows == {
        ALICE: "deposit hold reveal reveal settle hold reveal settle bet hold settle deposit hold"
        " hold reveal",
        BOB: "deposit hold hold settle release hold",
    }
