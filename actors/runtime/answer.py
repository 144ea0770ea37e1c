"""Giving answers: a caller whose reply fails must not keep anybody else from theirs."""

import logging
from typing import Any

from actors.runtime.ports import Reply
from protocol.errors import Failure

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
