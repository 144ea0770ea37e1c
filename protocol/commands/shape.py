"""What all commands and answers have in common."""

from typing import Annotated
from uuid import UUID

import msgspec


class Command(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller sends. A field that is not declared is refused, so that typing errors show."""


class Answer(msgspec.Struct):
    """What a caller gets back as `data`."""


class Event(msgspec.Struct):
    """What is pushed to rooms."""


RequestId = Annotated[
    UUID,
    msgspec.Meta(
        description="A UUID made by the client, the same when the same request is sent again. "
        "Any version but 8, which is the server's."
    ),
]
CurrencyCode = Annotated[
    str, msgspec.Meta(min_length=2, max_length=8, description="A currency code such as `USD`.")
]
UserId = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1, description="A user's number.")]
