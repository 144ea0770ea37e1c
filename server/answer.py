"""The one shape of acknowledgements and HTTP bodies."""

from typing import Any

import msgspec

from protocol.errors import ErrorBody, Failure, body


class Meta(msgspec.Struct, gc=False):
    """About the answer: the server's clock, so that clients can tell how far theirs is off."""

    at_ms: int


class Success(msgspec.Struct, kw_only=True):
    """The command was done, and what it changed is committed."""

    success: bool = True
    data: Any
    meta: Meta


class Refusal(msgspec.Struct, kw_only=True):
    """The command was not done; `error` says why and whether to try again."""

    success: bool = False
    error: ErrorBody
    meta: Meta


def success(data: Any, now_ms: int) -> Success:
    """An answer with data."""
    return Success(data=data, meta=Meta(now_ms))


def refusal(failure: Failure, now_ms: int) -> Refusal:
    """An answer with an error."""
    return Refusal(error=body(failure), meta=Meta(now_ms))
