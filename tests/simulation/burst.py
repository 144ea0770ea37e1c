"""A player who does not wait: many commands over one connection, which keep their order."""

import asyncio
from contextlib import suppress

from tests.simulation.client import PATIENCE_S, Client


class Burst(Client):
    """Sends a few commands close upon each other to one process, and looks at their order."""

    async def play(self) -> None:
        """Send all bursts, one after the other. What was not done is not tried again."""
        world, rng = self._world, self._rng
        for _ in range(world.plan.commands):
            await asyncio.sleep(world.storm.within_s(1.0))
            process, calls = world.pick(rng), []
            pause_s = rng.choice((0.0, 0.01, 0.1, 0.5))
            for _ in range(rng.randint(3, 10)):
                if process.takes_calls:
                    calls.append(process.send(self._wallet_id, self._adjust("faucet", 1)))
                await asyncio.sleep(pause_s * rng.random())
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(*(asyncio.shield(call.answered) for call in calls))
            world.answers.in_order([call for call in calls if call.answered.done()])
