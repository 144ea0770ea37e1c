"""What a newcomer reads when a server has started."""

import sys
from contextlib import suppress
from typing import Final

from server.settings import Settings

BANNER: Final = """
  Pitboss is open.

    sockets    {url}          (Socket.IO, any client)
    HTTP       {url}/api/v1
    reference  {url}/docs
    health     {url}/readyz   metrics {url}/metrics
"""

PLAYER: Final = """
  A demo player with 1,000.00 PLAY is waiting. Its token, good for a day:

    {token}

  A first bet, in Node (npm install socket.io-client), saved as bet.mjs:

    import {{ io }} from "socket.io-client";
    const socket = io("{url}", {{ auth: {{ token: "{token}" }} }});
    const bet = {{ stake: 100, currency: "PLAY", target: 5050, direction: "over",
                  request_id: crypto.randomUUID() }};
    socket.emit("dice:roll", bet, (answer) => {{ console.log(answer); socket.close(); }});
"""


def banner(url: str, token: str | None) -> str:
    """What a newcomer reads when the node has started."""
    player = PLAYER.format(url=url, token=token) if token else ""
    return BANNER.format(url=url) + player


def show_banner(settings: Settings, port: int, token: str | None) -> None:
    """Print what a newcomer reads, with the demo player's token if there is one."""
    host = settings.host if settings.host not in {"0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104 - compared, not bound
    with suppress(BrokenPipeError):
        sys.stdout.write(banner(f"http://{host}:{port}", token))
        sys.stdout.flush()
