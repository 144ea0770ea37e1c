"""A player who plays, tips and asks, and tries again until there is a final answer."""

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from actors.wallet.commands import Adjust, SendTip
from protocol.bounds import MAX_MINOR
from protocol.commands.dice import Direction, RollDice
from protocol.commands.limbo import PlayLimbo
from protocol.commands.mines import CashOutMines, GetMines, RevealTile, StartMines
from protocol.commands.plinko import DropPlinko
from protocol.commands.seed import GetSeed, RotateSeed, SetClientSeed
from protocol.commands.wallet import GetWallet
from protocol.errors import Failure

if TYPE_CHECKING:
    from tests.simulation.world import World

PATIENCE_S = 6.0
OPERATOR = 99


class Client:
    """One hand of a player: one command at a time, each with its duplicates."""

    def __init__(self, world: "World", wallet_id: int, hand: int) -> None:
        self._world = world
        self._wallet_id = wallet_id
        self._rng = Random(f"client {world.seed} {wallet_id} {hand}")
        self._done: list[tuple[int, Any]] = []
        """Commands that were acknowledged, for late duplicates."""

    async def play(self) -> None:
        """Send all commands, one after the other."""
        await self._finish(self._wallet_id, self._adjust("faucet", 1_000))
        for _ in range(self._world.plan.commands):
            await asyncio.sleep(self._world.storm.within_s(2.0))
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

    def _somebody(self) -> int:
        wallets = self._world.wallets
        return wallets[self._rng.randrange(len(wallets))]

    def _request_id(self) -> UUID:
        return UUID(int=self._rng.getrandbits(128), version=4)

    def _adjust(self, kind: str, amount_minor: int, currency: str = "USD") -> Adjust:
        return Adjust(kind, currency, amount_minor, OPERATOR, self._request_id())

    def _command(self) -> Any:
        kinds = (self._money, self._tip, self._bet, self._mines, self._ask, self._nonsense)
        return self._rng.choices(kinds, (3, 3, 5, 4, 3, 1))[0]()

    def _money(self) -> Adjust:
        rng = self._rng
        if rng.random() < 0.1:  # so that balances meet their bound, and tips are refused
            return self._adjust("deposit", MAX_MINOR - rng.randint(0, 3_000))
        kind = rng.choice(("deposit", "withdrawal", "faucet"))
        return self._adjust(kind, rng.randint(1, 2_000), rng.choice(("USD", "USD", "BTC")))

    def _tip(self) -> SendTip:
        amount_minor = self._rng.randint(1, 1_500)
        return SendTip(self._somebody(), "USD", amount_minor, self._request_id())

    def _bet(self) -> Any:
        return self._rng.choice((self._roll, self._limbo, self._drop))()

    def _mines(self) -> Any:
        """Any step of a game, whether it is open or not."""
        rng, id_ = self._rng, self._request_id()
        currency = rng.choice(("USD", "USD", "USD", "BTC"))
        # One pick among 18 mines with the high stake wins so much that another is not allowed.
        stake = rng.choice((rng.randint(10, 600), 20_000))
        start = StartMines(stake, currency, rng.choice((1, 3, 10, 18, 23, 24)), id_)
        reveal = RevealTile(currency, rng.randrange(rng.choice((4, 25))), id_)
        steps = (start, reveal, CashOutMines(currency, id_), GetMines(rng.choice((None, currency))))
        return rng.choices(steps, (3, 4, 2, 1))[0]

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
        if isinstance(command, RevealTile):
            return msgspec.structs.replace(command, tile=(command.tile + 1) % 25)
        if isinstance(command, CashOutMines):
            return msgspec.structs.replace(command, currency="PLAY")
        if isinstance(command, RollDice | PlayLimbo | DropPlinko | StartMines):
            return msgspec.structs.replace(command, stake=command.stake + 1)
        return msgspec.structs.replace(command, amount_minor=command.amount_minor + 1)
