"""Seeds: what makes a bet verifiable."""

from typing import Annotated

from msgspec import Meta

from protocol.bounds import MAX_CLIENT_SEED_CHARS
from protocol.commands.shape import Answer, Command

# Printable ASCII without the colon, which separates the parts of the hashed message.
ClientSeed = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CLIENT_SEED_CHARS,
        pattern=r"\A[!-9;-~]+\Z",
        description="Printable ASCII without spaces and colons.",
    ),
]


class GetSeed(Command):
    """The pair that your next bet draws from."""


class RotateSeed(Command):
    """Reveal the server seed and start a new one, optionally with a new client seed."""

    client_seed: ClientSeed | None = None


class SetClientSeed(Command):
    """Choose the client seed of your next bets. The server seed and the nonce go on."""

    client_seed: ClientSeed


class CurrentSeed(Answer):
    """The pair in use: the server seed only as its SHA-256, until it is rotated out."""

    pair: int
    server_seed_hash: str
    client_seed: str
    nonce: int


class RevealedSeed(Answer):
    """A server seed that is out of use, and how far its nonces went."""

    server_seed: str
    server_seed_hash: str
    client_seed: str
    next_nonce: int


class Rotated(Answer):
    """The seed that was revealed and the pair that took its place."""

    revealed: RevealedSeed | None
    current: CurrentSeed
