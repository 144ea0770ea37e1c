"""A player who plays, tips and asks, and tries again until there is a final answer."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from actors.wallet.commands import Adjust, SendTip
from protocol.bounds import MAX_MINOR
from protocol.commands.crash import BetCrash, CrashBet
from protocol.commands.dice import Direction, RollDice
from protocol.commands.limbo import PlayLimbo
from protocol.commands.mines import CashOutMines, MinesPlayed, RevealTile, StartMines
from protocol.commands.plinko import DropPlinko
from protocol.commands.rain import RainStarted
from protocol.commands.seed import GetSeed, RotateSeed, SetClientSeed
from protocol.commands.wallet import GetWallet
from protocol.errors import Failure
from tests.simulation import limits, mines, rain, tables

if TYPE_CHECKING:
    from tests.simulation.world import World

PATIENCE_S = 6.0
OPERATOR = 99
# How often it rains beside everything else that a player does.
RAINY = 0.2


class Client:
    """One hand of a player: one command at a time, each with its duplicates."""

    def __init__(self, world: "World", wallet_id: int, hand: int) -> None:
        self._world = world
        self._wallet_id = wallet_id
        self._rng = Random(f"client {world.seed} {wallet_id} {hand}")
        self._care = Random(f"limits {world.seed} {wallet_id} {hand}")
        self._luck = Random(f"tables {world.seed} {wallet_id} {hand}")
        self._nerve = Random(f"mines {world.seed} {wallet_id} {hand}")
        self._cloud = Random(f"rain {world.seed} {wallet_id} {hand}")
        self._done: list[tuple[int, Any]] = []
        """Commands that were acknowledged, for late duplicates."""

    async def play(self) -> None:
        """Send all commands, one after the other."""
        await self._finish(self._wallet_id, self._adjust("faucet", 1_000))
        for _ in range(self._world.plan.commands):
            await asyncio.sleep(self._world.storm.within_s(2.0))
            if self._cloud.random() < RAINY:
                await self._rain()
            if self._world.tables and self._luck.random() < 0.5:
                await self._gamble()
                continue
            if self._nerve.random() < 0.3:
                await self._dig()
                continue
            wallet_id = self._wallet_id if self._rng.random() < 0.8 else self._somebody()
            command = self._command()
            outcome = await self._finish(wallet_id, command)
            if not isinstance(outcome, Failure) and hasattr(command, "request_id"):
                self._done.append((wallet_id, command))
                await self._repeat()

    async def _repeat(self) -> None:
        """Send something old again, sometimes with other content, which must not be done."""
        plan, rng = self._world.plan, self._rng
        if self._world.storm.happens(plan.duplicate):
            wallet_id, command = rng.choice(self._done)
            if rng.random() < plan.other_content:
                command = self._changed(command)
            await self._finish(wallet_id, command)

    async def _gamble(self) -> None:
        """Go to a table: bet, mostly in time, and go on with it, or do something out of place."""
        world, rng = self._world, self._luck
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.6:
                await world.rounds.betting(10.0)
            request = UUID(int=rng.getrandbits(128), version=4)
            command = tables.choose(rng, world.tables, world.rounds.newest(), request)
            outcome = await self._finish(self._wallet_id, command)
            if isinstance(outcome, CrashBet) and isinstance(command, BetCrash):
                self._done.append((self._wallet_id, command))
                await asyncio.sleep(rng.choice((0.0, 0.5, 1.5, 3.0, 6.0)) * rng.random())
                await self._finish(self._wallet_id, tables.go_on(rng, command))
                await self._repeat()

    async def _finish(self, wallet_id: int, command: Any) -> Any:
        """Send until there is a final answer, and return it."""
        while True:
            call = self._world.pick(self._rng).send(wallet_id, command)
            self._double(wallet_id, command)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    outcome = await asyncio.shield(call.answered)
            except TimeoutError:
                continue
            if not isinstance(outcome, Failure) or not outcome.kind.temporary:
                return outcome
            await asyncio.sleep(self._world.storm.within_s(1.0) + 0.05)

    def _double(self, wallet_id: int, command: Any) -> None:
        plan, rng = self._world.plan, self._rng
        if self._world.storm.happens(plan.duplicate / 2):
            if hasattr(command, "request_id") and rng.random() < plan.other_content:
                command = self._changed(command)
            self._world.pick(rng).send(wallet_id, command)

    async def _dig(self) -> None:
        """Open a game of mines and go on with it, whatever has become of it meanwhile."""
        for command in mines.steps(self._nerve):
            outcome = await self._finish(self._wallet_id, command)
            if isinstance(outcome, MinesPlayed):
                self._done.append((self._wallet_id, command))
                await self._repeat()

    async def _rain(self) -> None:
        """Let it rain, and ask for the same again when others are there."""
        rng, wallets, own = self._cloud, self._world.wallets, self._wallet_id
        command = rain.command(rng, wallets, own)
        outcome = await self._finish(own, command)
        if isinstance(outcome, RainStarted):
            self._done.append((own, command))
            await self._repeat()
            if rng.random() < 0.5:
                await self._finish(own, rain.on_others(rng, wallets, own, command))

    def _somebody(self) -> int:
        wallets = self._world.wallets
        return wallets[self._rng.randrange(len(wallets))]

    def _request_id(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    def _adjust(self, kind: str, amount_minor: int, currency: str = "USD") -> Adjust:
        return Adjust(kind, currency, amount_minor, OPERATOR, self._request_id())

    def _command(self) -> Any:
        if self._care.random() < self._world.plan.caution:
            return limits.command(self._care)
        kinds = (self._money, self._tip, self._bet, self._ask, self._nonsense)
        return self._rng.choices(kinds, (3, 3, 5, 3, 1))[0]()

    def _money(self) -> Adjust:
        rng = self._rng
        if rng.random() < 0.2:  # so that balances meet their bound, and tips are refused
            return self._adjust("deposit", MAX_MINOR - rng.randint(0, 3_000))
        kind = rng.choice(("deposit", "withdrawal", "faucet"))
        return self._adjust(kind, rng.randint(1, 2_000), rng.choice(("USD", "USD", "BTC")))

    def _tip(self) -> SendTip:
        amount_minor = self._rng.randint(1, 1_500)
        return SendTip(self._somebody(), "USD", amount_minor, self._request_id())

    def _bet(self) -> Any:
        return self._rng.choice((self._roll, self._limbo, self._drop))()

    def _limbo(self) -> PlayLimbo:
        rng = self._rng
        return PlayLimbo(
            stake=rng.randint(10, 600),
            currency="USD",
            target=rng.choice((100, 101, 150, 500, 10**8, 10**8 + 1, rng.randint(101, 2_000))),
            request_id=self._request_id(),
        )

    def _drop(self) -> DropPlinko:
        rng = self._rng
        return DropPlinko(
            stake=rng.randint(10, 600),
            currency="USD",
            rows=rng.choice((7, 17, *range(8, 17))),
            risk=rng.choice(("low", "medium", "high")),
            request_id=self._request_id(),
        )

    def _roll(self) -> RollDice:
        rng = self._rng
        return RollDice(
            stake=rng.randint(10, 600),
            currency="USD",
            target=rng.choice((0, 1, 2_000, 5_050, 8_000, 9_999, 10_000, rng.randint(0, 10_000))),
            direction=rng.choice((Direction.OVER, Direction.UNDER)),
            request_id=self._request_id(),
        )

    def _ask(self) -> Any:
        rng = self._rng
        named = f"lucky{rng.randint(0, 999)}"
        return rng.choice(
            (
                GetWallet(),
                GetWallet(),
                GetSeed(),
                RotateSeed(),
                RotateSeed(named),
                SetClientSeed(named),
            )
        )

    def _nonsense(self) -> Any:
        rng = self._rng
        return rng.choice(
            (
                self._adjust("deposit", 5, "XXX"),
                SendTip(self._wallet_id, "USD", 5, self._request_id()),
                Adjust("deposit", "USD", 5, OPERATOR, UUID(int=rng.getrandbits(128), version=5)),
                SendTip(2, "USD", 5, UUID(int=8 << 76 | 2 << 62 | rng.getrandbits(60))),
            )
        )

    def _changed(self, command: Any) -> Any:
        if isinstance(command, BetCrash):
            return tables.changed(self._rng, command)
        if isinstance(command, RevealTile):
            return msgspec.structs.replace(command, tile=(command.tile + 1) % 25)
        if isinstance(command, CashOutMines):
            return msgspec.structs.replace(command, currency="PLAY")
        if isinstance(command, RollDice | PlayLimbo | DropPlinko | StartMines):
            return msgspec.structs.replace(command, stake=command.stake + 1)
        return msgspec.structs.replace(command, amount_minor=command.amount_minor + 1)
