"""The messages that place bets: WebSocket frames, made and masked many at a time.

A generator must cost less than what it measures. So all frames of a run have one length, and only
the digits of their ids differ; and the frames of one write share a random mask, which the standard
would have anew for each, to protect proxies from the scripts of web pages.
"""

import os
from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import Any, Final

import msgspec

from benchmarks.frames import MASK_BYTES, masked_header

# The first message's number, which is its ack id, and one past the last: all of them have eight
# digits. An hour at 20,000 a second takes 72 million.
FIRST_ID: Final = 10_000_000
END_ID: Final = 100_000_000
# Made in one piece; with more the numbers that mask them become long without becoming cheaper.
_FRAMES_AT_A_TIME: Final = 16
# Random bytes are asked of the kernel for this many request ids at a time.
_IDS_AT_A_TIME: Final = 4_096
# Of 32 random digits of base 16: those of a version 4 UUID, and two that it does not need.
_DIGITS: Final = Struct("8s4s3s3s12s2x")
_ID: Final = b"%b-%b-4%b-8%b-%b"


def _id_digits() -> Iterator[tuple[bytes, ...]]:
    """What _ID makes random UUIDs of, at a tenth of the time of uuid.uuid4."""
    while True:
        yield from _DIGITS.iter_unpack(os.urandom(16 * _IDS_AT_A_TIME).hex().encode())


class Messages:
    """Makes one message after another, each of `per_message` bets with request ids of their own."""

    def __init__(self, bet: dict[str, Any], per_message: int) -> None:
        self._per_message = per_message
        self._digits = _id_digits()
        payload = _template(bet, per_message)
        length = len(payload % _sample(per_message))
        self._frame = masked_header(length) + bytes(MASK_BYTES) + payload
        # 1 wherever four bytes are to be masked, for one frame: the header is not, and the mask
        # itself, of zeros until then, is put there in the same step.
        self._places = bytes(len(masked_header(length))) + b"\1\0\0\0" * (1 + length // MASK_BYTES)
        counts = range(_FRAMES_AT_A_TIME + 1)
        self._frames = [self._frame * count for count in counts]
        self._masks = [int.from_bytes(self._places * count, "little") for count in counts]

    def make(self, first_id: int, count: int) -> bytes:
        """The frames of `count` messages, whose ack ids are `first_id` and those that follow."""
        pieces = []
        while count > _FRAMES_AT_A_TIME:
            pieces.append(self._make(first_id, _FRAMES_AT_A_TIME))
            first_id += _FRAMES_AT_A_TIME
            count -= _FRAMES_AT_A_TIME
        pieces.append(self._make(first_id, count))
        return b"".join(pieces)

    def _make(self, first_id: int, count: int) -> bytes:
        fields: list[Any] = []
        for ack_id in range(first_id, first_id + count):
            fields.append(ack_id)
            for digits in islice(self._digits, self._per_message):
                fields += digits
        plain = self._frames[count] % tuple(fields)
        mask = int.from_bytes(os.urandom(MASK_BYTES), "little")
        hidden = int.from_bytes(plain, "little") ^ (mask * self._masks[count])
        return hidden.to_bytes(len(plain), "little")


def _template(bet: dict[str, Any], per_message: int) -> bytes:
    """A message as a format: of its ack id, and of the digits of its bets' request ids.

    Spaces make its length a multiple of the mask's.
    """
    # The bet without its closing brace: the request id is its last field.
    fields = msgspec.json.encode(bet).replace(b"%", b"%%")[:-1]
    one = fields + b',"request_id":"' + _ID + b'"}'
    if per_message == 1:
        head, tail = b'42%d["dice:roll",' + one[:-1], b"}]"
    else:
        # A batch may mix games, so each of its bets names its own.
        one = b'{"game":"dice",' + one[1:]
        head, tail = b'42%d["bets:place",{"bets":[' + b",".join([one] * per_message), b"]}]"
    length = len((head + tail) % _sample(per_message))
    return head + b" " * (-length % MASK_BYTES) + tail


def _sample(per_message: int) -> tuple[Any, ...]:
    """Fields for a template, to see how long it is with them."""
    digits = next(_DIGITS.iter_unpack(b"0" * _DIGITS.size))
    return (FIRST_ID, *digits * per_message)
