"""The demo player: an account to try things with, in development only."""

import asyncio
from typing import Final
from uuid import UUID

from actors.runtime.node import Node
from actors.wallet import facts
from actors.wallet.commands import Adjust
from actors.wallet.rules import WALLET
from protocol.commands.auth import Role
from server.answer import Success
from server.auth.service import Accounts
from server.reply import HttpAnswer

USERNAME: Final = "demo"
# Long enough for a day of trying things out; a real session's token lives 15 minutes.
TOKEN_LIFETIME_S: Final = 24 * 3600
_FUNDS_MINOR: Final = 1_000_00
# Nodes that start together move shards, and refuse for the time being.
_TRIES: Final = 5
_PAUSE_S: Final = 0.3
# The same at every start, so that the demo player is funded once.
_FUNDING: Final = UUID("6f2d8f3e-5d0c-4b39-9a3c-5b6f2f6d7a10")


async def demo_token(accounts: Accounts, node: Node, clock_ms: int) -> str:
    """A token of the demo player, who is created and given play credits if need be."""
    user = await accounts.user_of(USERNAME)
    if user is None:
        user = await accounts.create_user(None, USERNAME, None, Role.PLAYER)
    funding = Adjust(facts.FAUCET, "PLAY", _FUNDS_MINOR, user.id, _FUNDING)
    for _ in range(_TRIES):
        answer = HttpAnswer(lambda: clock_ms)
        node.send(WALLET, user.id, funding, answer)
        _status, body = await answer.wait()
        if isinstance(body, Success) or not body.error.temporary:
            break
        await asyncio.sleep(_PAUSE_S)
    return await accounts.issue_token(user, TOKEN_LIFETIME_S)
