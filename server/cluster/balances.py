"""A player's newest balances, for a socket that comes from another node."""

import asyncio
from typing import Any, Final

import msgspec

from actors.runtime.node import Node
from actors.wallet.rules import WALLET
from protocol.commands.wallet import GetWallet, Wallet, WalletUpdated
from protocol.errors import Failure
from protocol.outgoing import Outgoing
from server.sockets.socket import Socket

# A wallet of a node that has ended is elsewhere within seconds, and is asked again until then.
PAUSE_S: Final = 0.5
TRIES: Final = 20


class Balances:
    """Tells sockets what their players have, as states."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def tell(self, socket: Socket) -> None:
        """Ask the wallet, and tell the socket as soon as it answers; nothing if it never does."""
        _Asking(self._node, socket, socket.session.user_id).ask()


class _Asking:
    """The reply that the wallet's answer goes to."""

    origin: object | None = None

    def __init__(self, node: Node, socket: Socket, user_id: int) -> None:
        self._node = node
        self._socket = socket
        self._user_id = user_id
        self._tries = 0

    def ask(self) -> None:
        """Ask once more, if anybody is there to be told."""
        if self._socket.connected:
            self._tries += 1
            self._node.send(WALLET, self._user_id, GetWallet(), self)

    def resolve(self, value: Any) -> None:
        """The wallet has answered; from another node it is plain."""
        wallet = value if isinstance(value, Wallet) else msgspec.convert(value, Wallet)
        for balance in wallet.balances:
            news = WalletUpdated(
                currency=balance.currency,
                available=balance.available,
                held=balance.held,
                seq=balance.seq,
            )
            self._socket.deliver(Outgoing(self._socket.namespace, "wallet:updated", (news,)))

    def reject(self, failure: Failure) -> None:
        """It cannot be asked: perhaps in a moment."""
        if failure.kind.temporary and self._tries < TRIES:
            asyncio.get_running_loop().call_later(PAUSE_S, self.ask)
