"""The messages that place bets, as Socket.IO packets in Engine.IO packets."""

import os
from collections.abc import Iterator
from typing import Any, Final

import msgspec

# Random bytes are asked of the kernel for this many request ids at a time.
_IDS_AT_A_TIME: Final = 4_096


def _request_ids() -> Iterator[str]:
    """Random UUIDs (version 4) as text: as good as uuid.uuid4's, at a fifth of the time."""
    while True:
        digits = os.urandom(16 * _IDS_AT_A_TIME).hex()
        for at in range(0, len(digits), 32):
            one = digits[at : at + 32]
            yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-8{one[17:20]}-{one[20:]}"


class Messages:
    """Makes one message after another, each of `per_message` bets with request ids of their own."""

    def __init__(self, bet: dict[str, Any], per_message: int) -> None:
        # The bet without its closing brace: the request id is its last field.
        self._fields = msgspec.json.encode(bet).decode()[:-1]
        self._per_message = per_message
        self._ids = _request_ids()

    def make(self, ack_id: int) -> bytes:
        """The message whose acknowledgement will carry `ack_id`."""
        if self._per_message == 1:
            return f'42{ack_id}["dice:roll",{self._bet()}]'.encode()
        bets = ",".join(self._bet() for _ in range(self._per_message))
        return f'42{ack_id}["bets:place",{{"bets":[{bets}]}}]'.encode()

    def _bet(self) -> str:
        return f'{self._fields},"request_id":"{next(self._ids)}"}}'
