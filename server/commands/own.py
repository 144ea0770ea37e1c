"""Commands that go to the caller's own wallet just as they came."""

from typing import Any

from actors.runtime.node import Node
from actors.wallet.rules import WALLET
from server.caller import Caller
from server.reply import Answer
from server.router import Handler


def own_wallet(node: Node) -> Handler:
    """A handler that hands the command to the caller's wallet: the shortest way there is."""
    send = node.send

    def handle(caller: Caller, command: Any, answer: Answer) -> None:
        send(WALLET, caller.user_id, command, answer)

    return handle
