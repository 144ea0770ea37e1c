"""Mines over sockets and HTTP on a real PostgreSQL: a game outlives everything but its end."""

import asyncio
from typing import Any

import asyncpg
import pytest

from actors.mines import odds
from storage import wallets
from storage.audit import audit
from tests.floor.house import Fields, House, Person, Seat, bet, request_id, running

STAKE = 1_000


async def player(house: House) -> tuple[Person, Seat]:
    """Somebody with play money and a socket."""
    ann = await house.guest()
    await ann.pull()
    return ann, await ann.connect()


async def begin(seat: Seat, mines: int = 3, currency: str = "PLAY") -> Fields:
    """Open a game."""
    body = {
        "stake": STAKE, "currency": currency, "mines": mines, "request_id": request_id()
    }  # fmt: skip
    return await seat.ok("mines:start", body)


def pick(tile: int, id_: str | None = None) -> Fields:
    """A pick of a tile."""
    return {"currency": "PLAY", "tile": tile, "request_id": id_ or request_id()}


def leave(id_: str | None = None) -> Fields:
    """A cash-out."""
    return {"currency": "PLAY", "request_id": id_ or request_id()}


def mined(house: House, ann: Person, nonce: int, mines: int) -> tuple[int, ...]:
    """Where the mines lie, from the wallet's own state."""
    state = house.pitboss.node._live["wallet"][ann.user_id].state
    return tuple(sorted(odds.positions(state.words.of(nonce), mines)))


async def forget(house: House, *, snapshots: bool) -> None:
    """Put all wallets away, so that the next command has them read back."""
    async with asyncio.timeout(10):
        while not house.pitboss.node.passivate(-1, 1_000):
            await asyncio.sleep(0.01)
    if snapshots:
        await house.pitboss.storage.wallets.flush_snapshots()
    else:
        house.pitboss.storage.wallets._snapshots.clear()
        await house.pool.execute("delete from wallet_snapshots")


class TestAGame:
    """From its start to its end."""

    async def test_is_played_over_sockets_and_told_as_one_bet(self, house: House) -> None:
        ann, seat = await player(house)
        other = await ann.connect()
        started = await begin(seat)
        await other.hear("wallet:updated", held=STAKE)
        bad = mined(house, ann, started["nonce"], 3)
        good = [tile for tile in range(25) if tile not in bad]
        for tile in good[:2]:
            await seat.ok("mines:reveal", pick(tile))
        (shown,) = (await seat.ok("mines:state"))["games"]
        assert (shown["bet_id"], shown["revealed"]) == (started["bet_id"], good[:2])
        assert (shown["payout"], shown["ended"], shown["mined"]) == (1_285, None, None)
        held = await seat.ok("wallet:get")
        assert held["balances"][0]["held"] == STAKE
        over = await seat.ok("mines:cashout", leave())
        assert (over["payout"], over["mined"], over["ended"]) == (1_285, list(bad), "cashout")
        assert over["balance"]["held"] == 0
        assert over["balance"]["available"] == 100_000 - STAKE + 1_285
        assert (await seat.ok("mines:state"))["games"] == []
        await other.hear("wallet:updated", held=0, seq=over["balance"]["seq"])

    async def test_is_played_over_http(self, house: House) -> None:
        ann = await house.guest()
        await ann.pull()
        body = {"stake": STAKE, "currency": "PLAY", "mines": 24, "request_id": request_id()}
        status, started = await ann.http("POST", "/mines/start", body)
        assert status == 200, started
        (good,) = set(range(25)) - set(mined(house, ann, started["data"]["nonce"], 24))
        status, state = await ann.http("GET", "/mines?currency=PLAY")
        assert (status, state["data"]["games"][0]["mines"]) == (200, 24)
        status, refused = await ann.http("POST", "/mines/cashout", leave())
        assert (status, refused["error"]["number"]) == (409, 4023)
        status, over = await ann.http("POST", "/mines/reveal", pick(good))
        assert (status, over["data"]["ended"], over["data"]["payout"]) == (200, "cleared", 24_750)

    @pytest.mark.parametrize(
        "change",
        [
            {"mines": 0},
            {"mines": 25},
            {"mines": 3.0},
            {"stake": 1.5},
            {"stake": 100.0},
            {"stake": "100"},
            {"currency": "XXX"},
        ],
    )
    async def test_that_is_no_game_changes_nothing(
        self, house: House, change: dict[str, Any]
    ) -> None:
        _ann, seat = await player(house)
        before = (await seat.ok("wallet:get"), await seat.ok("seed:get"))
        body = {"stake": STAKE, "currency": "PLAY", "mines": 3, "request_id": request_id()}
        code = await seat.refused("mines:start", {**body, **change})
        assert code == ("unknown_currency" if "currency" in change else "malformed")
        assert (await seat.ok("wallet:get"), await seat.ok("seed:get")) == before

    @pytest.mark.parametrize("tile", [-1, 25, 1.0, "1", None])
    async def test_takes_no_tile_that_is_not_there(self, house: House, tile: object) -> None:
        _ann, seat = await player(house)
        await begin(seat)
        body = {"currency": "PLAY", "tile": tile, "request_id": request_id()}
        assert await seat.refused("mines:reveal", body) == "malformed"
        assert (await seat.ok("mines:state"))["games"][0]["revealed"] == []

    async def test_keeps_its_seeds_until_it_ends(self, house: House) -> None:
        ann, seat = await player(house)
        started = await begin(seat)
        assert await seat.refused("seed:rotate", {}) == "seed_in_use"
        assert await seat.refused("seed:set_client", {"client_seed": "mine"}) == "seed_in_use"
        bad = mined(house, ann, started["nonce"], 3)
        await seat.ok("mines:reveal", pick(bad[0]))
        revealed = (await seat.ok("seed:rotate", {}))["revealed"]
        record = await seat.ok("bet:get", {"bet_id": started["bet_id"]})
        assert record["server_seed"] == revealed["server_seed"]


class TestRecords:
    """What a player finds about a game later on."""

    async def test_an_open_game_has_no_outcome_and_no_mines(self, house: House) -> None:
        ann, seat = await player(house)
        rolled = await seat.ok("dice:roll", bet())
        started = await begin(seat)
        bad = mined(house, ann, started["nonce"], 3)
        good = next(tile for tile in range(25) if tile not in bad)
        await seat.ok("mines:reveal", pick(good))
        record = await seat.ok("bet:get", {"bet_id": started["bet_id"]})
        history = await seat.ok("bet:history")
        assert history["bets"][0] == record
        assert [one["bet_id"] for one in history["bets"]] == [started["bet_id"], rolled["bet_id"]]
        assert (record["state"], record["payout"], record["outcome"]) == ("open", None, None)
        assert (record["game"], record["stake"], record["parameters"]) == (
            "mines", STAKE, {"mines": 3}
        )  # fmt: skip
        assert (record["pair"], record["nonce"]) == (1, started["nonce"])
        assert record["client_seed"]
        assert record["server_seed_hash"]
        assert record["server_seed"] is None

    async def test_an_ended_game_is_one_record_with_its_outcome(self, house: House) -> None:
        ann, seat = await player(house)
        started = await begin(seat)
        bad = mined(house, ann, started["nonce"], 3)
        good = next(tile for tile in range(25) if tile not in bad)
        await seat.ok("mines:reveal", pick(good))
        await seat.ok("dice:roll", bet())
        await seat.ok("mines:reveal", pick(bad[1]))
        record = await seat.ok("bet:get", {"bet_id": started["bet_id"]})
        assert (record["state"], record["payout"]) == ("settled", 0)
        assert record["outcome"] == {
            "mines": list(bad), "picked": [good, bad[1]], "multiplier": 0, "ended": "mine"
        }  # fmt: skip
        history = await seat.ok("bet:history")
        assert [one["game"] for one in history["bets"]] == ["dice", "mines"]
        page = await seat.ok("bet:history", {"limit": 1})
        assert page["bets"] == history["bets"][:1]
        rest = await seat.ok("bet:history", {"limit": 1, "before": page["next_before"]})
        assert rest["bets"] == [record]
        # No step of a game is a bet of its own.
        wallet, seq = started["bet_id"].split("-")
        for step in (int(seq) + 1, int(seq) + 3):
            assert await seat.refused("bet:get", {"bet_id": f"{wallet}-{step}"}) == "not_found"

    async def test_the_ledger_names_the_bet_of_every_step(self, house: House) -> None:
        ann, seat = await player(house)
        started = await begin(seat)
        bad = mined(house, ann, started["nonce"], 3)
        good = next(tile for tile in range(25) if tile not in bad)
        await seat.ok("mines:reveal", pick(good))
        await seat.ok("mines:cashout", leave())
        entries = (await seat.ok("wallet:history"))["entries"]
        assert [entry["kind"] for entry in entries] == ["settle", "reveal", "hold", "faucet"]
        assert [entry["bet_id"] for entry in entries] == [started["bet_id"]] * 3 + [None]


class TestAWalletReadBack:
    """With its snapshot, without any, and made again from the newest rows."""

    @pytest.mark.parametrize(("snapshots", "fold"), [(True, 5_000), (False, 5_000), (False, 3)])
    async def test_plays_on_where_it_was(
        self,
        house: House,
        database_url: str,
        monkeypatch: pytest.MonkeyPatch,
        snapshots: bool,
        fold: int,
    ) -> None:
        monkeypatch.setattr(wallets, "MAX_FOLD", fold)
        monkeypatch.setattr("storage.rebuilder.PATIENCE_S", 60)
        monkeypatch.setattr("storage.rebuild.SLICE", 3)
        ann, seat = await player(house)
        await ann.pull("BTC")
        started = await begin(seat)
        bad = mined(house, ann, started["nonce"], 3)
        good = [tile for tile in range(25) if tile not in bad]
        first = pick(good[0])
        picked = await seat.ok("mines:reveal", first)
        await seat.ok("dice:roll", bet())
        second = await seat.ok("mines:reveal", pick(good[1]))
        before = [await seat.ok(name) for name in ("mines:state", "wallet:get", "seed:get")]
        await forget(house, snapshots=snapshots)
        after = [await seat.ok(name) for name in ("mines:state", "wallet:get", "seed:get")]
        assert after == before
        assert after[0]["games"][0]["revealed"] == second["revealed"]
        assert await seat.ok("mines:reveal", first) == picked
        assert await seat.refused("mines:start", {
            "stake": STAKE, "currency": "PLAY", "mines": 3, "request_id": request_id()
        }) == "game_open"  # fmt: skip
        assert await seat.refused("seed:rotate", {}) == "seed_in_use"
        out = leave()
        over = await seat.ok("mines:cashout", out)
        assert (over["payout"], over["mined"]) == (1_285, list(bad))
        await forget(house, snapshots=snapshots)
        assert (await seat.ok("mines:state"))["games"] == []
        assert await seat.ok("mines:cashout", out) == over
        storage = house.pitboss.storage
        await storage.wallets.flush_snapshots()
        assert (await audit(database_url, storage.vault)).findings == []

    async def test_a_cash_out_older_than_the_remembered_ids_is_answered_once_more(
        self, house: House
    ) -> None:
        """Though no game is open, or another one is, which it must not touch."""
        ann, seat = await player(house)
        started = await begin(seat)
        bad = mined(house, ann, started["nonce"], 3)
        good = next(tile for tile in range(25) if tile not in bad)
        reveal, out = pick(good), leave()
        revealed, over = await seat.ok("mines:reveal", reveal), await seat.ok("mines:cashout", out)
        await self._forget_ids(house, ann)
        assert await seat.ok("mines:cashout", out) == over
        assert await seat.ok("mines:reveal", reveal) == revealed
        again = await begin(seat)
        safe = [t for t in range(25) if t not in mined(house, ann, again["nonce"], 3)]
        await seat.ok("mines:reveal", pick(safe[0]))
        await self._forget_ids(house, ann)
        assert await seat.ok("mines:cashout", out) == over
        await self._forget_ids(house, ann)
        assert await seat.ok("mines:reveal", reveal) == revealed
        (game,) = (await seat.ok("mines:state"))["games"]
        assert (game["bet_id"], game["revealed"]) == (again["bet_id"], safe[:1])

    async def _forget_ids(self, house: House, ann: Person) -> None:
        actor = house.pitboss.node._live["wallet"][ann.user_id]
        actor.state.recent.clear()
        actor.suspect_until_ms = 0


async def test_a_game_survives_the_end_of_its_process(house: House, database_url: str) -> None:
    ann, seat = await player(house)
    started = await begin(seat)
    bad = mined(house, ann, started["nonce"], 3)
    good = [tile for tile in range(25) if tile not in bad]
    await seat.ok("mines:reveal", pick(good[0]))
    settings = house.pitboss.settings
    await house.pitboss.stop()
    async with running(database_url, settings) as there:
        seat = await Person(there, ann.user_id, ann.username, ann.token).connect()
        (game,) = (await seat.ok("mines:state"))["games"]
        assert (game["bet_id"], game["revealed"]) == (started["bet_id"], good[:1])
        over = await seat.ok("mines:cashout", leave())
        assert over["payout"] == 1_125


async def test_no_hold_ends_twice_in_storage(house: House) -> None:
    """Whatever request id another ending has."""
    ann, seat = await player(house)
    started = await begin(seat)
    bad = mined(house, ann, started["nonce"], 3)
    await seat.ok("mines:reveal", pick(bad[0]))
    with pytest.raises(asyncpg.UniqueViolationError, match="hold"):
        await house.pool.execute(
            "insert into wallet_entries select wallet_id, seq + 1, currency, kind, available_delta,"
            " held_delta, available_after, held_after, counterparty, gen_random_uuid(), at_ms,"
            " game, stake, payout, pair, nonce, parameters, outcome, hold"
            " from wallet_entries where wallet_id = $1 and kind = 'settle'",
            ann.user_id,
        )
