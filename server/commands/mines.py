"""The commands of mines on their way to the caller's wallet."""

from actors.runtime.node import Node
from server.commands.own import own_wallet
from server.router import Handler


def mines_handlers(node: Node) -> dict[str, Handler]:
    """All of `mines:*`, by name."""
    handle = own_wallet(node)
    return {f"mines:{verb}": handle for verb in ("start", "reveal", "cashout", "state")}
