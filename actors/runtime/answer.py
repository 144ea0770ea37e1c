"""Giving answers: a caller whose reply fails must not keep anybody else from theirs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from protocol.errors import Failure

if TYPE_CHECKING:
    from actors.runtime.ports import Reply

log = logging.getLogger(__name__)


def resolve(reply: Reply, value: Any) -> None:
    """Tell the caller that the command was done. Never raises."""
    try:
        reply.resolve(value)
    except Exception:
        log.exception("an answer could not be given")


def reject(reply: Reply, failure: Failure) -> None:
    """Tell the caller why it was not done, or that nobody knows. Never raises."""
    try:
        reply.reject(failure)
    except Exception:
        log.exception("a refusal could not be given")
