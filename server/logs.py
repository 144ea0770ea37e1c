"""Structured logs: one JSON object a line, with the request id through every stage."""

import json
import logging
import sys
import time
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError

# What every record has; anything else was given as `extra` and is written as a field.
_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {
    "message",
    "asctime",
    "taskName",
}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, node if it has a name, logger, message, extras."""

    def __init__(self, node: str | None = None) -> None:
        super().__init__()
        self._node = {} if node is None else {"node": node}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            **self._node,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            extra["exception"] = self.formatException(record.exc_info)
        return json.dumps({**fields, **extra}, default=str)


class NotThePeersFault(logging.Filter):
    """Passes everything but aiohttp's complaints about requests that are not HTTP."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write it. Such a peer has had its 400; a traceback for each helps nobody."""
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


def configure(level: str, form: str, node: str | None = None) -> None:
    """Write logs to standard error, as `json` or as `text` for people, and name the node there."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter(node))
    else:
        named = f" {node}" if node else ""
        handler.setFormatter(
            logging.Formatter(f"%(asctime)s %(levelname)-7s{named} %(name)s %(message)s")
        )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A line for each connection would cost more than the connection.
    logging.getLogger("picows").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(NotThePeersFault())
