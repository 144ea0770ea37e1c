"""Limits of play: the player's own wallet keeps them."""

from actors.runtime.node import Node
from server.commands.own import own_wallet
from server.router import Handler
from server.work import Work


class LimitCommands:
    """Handlers of `limits:*`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def handlers(self, _work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        handler = own_wallet(self._node)
        return dict.fromkeys(
            ("limits:get", "limits:set", "limits:cool_off", "limits:exclude"), handler
        )
