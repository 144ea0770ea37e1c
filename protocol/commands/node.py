"""What the server says of itself."""

from protocol.commands.shape import Event


class ServerDraining(Event):
    """This server is closing: reconnect, at some moment within this time."""

    retry_after_ms: int
