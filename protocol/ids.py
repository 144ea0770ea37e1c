"""Identifiers: who makes them, and how those of clients and of the server never collide."""

from typing import Final
from uuid import UUID

# RFC 9562 leaves version 8 to the application; ours are made from a wallet and the number of an
# entry, so an outbox message has the same id however often it is sent.
_SERVER_VERSION: Final = 8
_VARIANT: Final = 0b10
# Where version and variant stand among the 128 bits, and what is there in an id of ours.
_KIND_MASK: Final = 0xF << 76 | 0b11 << 62
_SERVER_KIND: Final = _SERVER_VERSION << 76 | _VARIANT << 62


# What keeps the ids of game tables, and of what ends a hold, apart from those of wallets' messages.
# Nobody has as many users, or entries.
_TABLE: Final = 1 << 59
_SETTLEMENT: Final = 1 << 60


def is_client_made(request_id: UUID) -> bool:
    """Whether a client may use this id. Version 8 is the server's, so that nobody takes its ids."""
    return request_id.int & _KIND_MASK != _SERVER_KIND


def message_id(wallet_id: int, seq: int) -> UUID:
    """The id of the message that entry `seq` of a wallet sent."""
    assert 0 < wallet_id < _TABLE
    assert 0 < seq < _SETTLEMENT
    return _server_made(wallet_id, seq)


def settlement_id(wallet_id: int, hold: int) -> UUID:
    """The request id of the entry that ends the hold which entry `hold` of a wallet opened.

    A wallet has each request id once, so no message ends a hold twice. What a player's own command
    ends, as in mines, has the id of that command.
    """
    assert 0 < wallet_id < _TABLE
    assert 0 < hold < _SETTLEMENT
    return _server_made(wallet_id, hold | _SETTLEMENT)


def table_message_id(table: int, seq: int) -> UUID:
    """The id of the message that entry `seq` of a game table sent."""
    assert 0 < table < _TABLE
    assert 0 < seq < _SETTLEMENT
    return _server_made(_TABLE | table, seq)


def _server_made(owner: int, seq: int) -> UUID:
    value = owner << 64 | seq
    high, low = value >> 64, value & (2**62 - 1)
    # 48 bits, version, 12 bits, variant, 62 bits: the owner stands above, the entry below.
    return UUID(int=(high >> 12) << 80 | (high & 0xFFF) << 64 | low | _SERVER_KIND)


def bet_id(wallet_id: int, seq: int) -> str:
    """A bet's public id: its wallet and the number of its entry."""
    return f"{wallet_id}-{seq}"


def parse_bet_id(text: str) -> tuple[int, int] | None:
    """The wallet and entry of a bet id; None where it is not one."""
    wallet, dash, seq = text.partition("-")
    if not dash or not (wallet.isascii() and wallet.isdigit() and seq.isascii() and seq.isdigit()):
        return None
    numbers = int(wallet[:20]), int(seq[:20])
    return numbers if max(numbers) < 2**63 else None
