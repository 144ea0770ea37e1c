"""From a name and an argument to a typed, authorised, rate-limited command and its handler."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from protocol.bounds import MAX_INBOX
from protocol.catalogue import COMMANDS, Door, Entry
from protocol.commands.auth import Role
from protocol.errors import (
    FORBIDDEN,
    MALFORMED,
    OVERLOADED,
    UNAUTHENTICATED,
    UNKNOWN_COMMAND,
    Failure,
)
from server.caller import Caller
from server.reply import Answer

log = logging.getLogger(__name__)

Handler = Callable[[Caller, Any, Answer], None]
"""Starts a command. It answers now or later, once, and never raises."""

_EMPTY: Final = msgspec.Raw(b"{}")
# JSON writes a NUL as an escape, which few commands have; PostgreSQL has no text that holds one.
_ESCAPE: Final = b"\\"


class _Bound(NamedTuple):
    entry: Entry
    decode: Callable[[Any], Any]
    roles: frozenset[Role]
    handler: Handler
    tally: Counter[str]


class Router:
    """The catalogue with its handlers. Made once, at the start; complete or not at all."""

    def __init__(self, handlers: Mapping[str, Handler], clock_s: Callable[[], float]) -> None:
        missing, unknown = COMMANDS.keys() - handlers.keys(), handlers.keys() - COMMANDS.keys()
        if missing or unknown:
            raise ValueError(f"commands without handler: {missing}; handlers without: {unknown}")
        self._bound = {
            name: _Bound(
                entry,
                msgspec.json.Decoder(entry.request).decode,
                entry.roles,
                handlers[name],
                Counter(),
            )
            for name, entry in COMMANDS.items()
        }
        self._clock_s = clock_s
        self._traced = log.isEnabledFor(logging.DEBUG)

    @property
    def tallies(self) -> dict[str, Counter[str]]:
        """How often each command ended how."""
        return {name: bound.tally for name, bound in self._bound.items()}

    def dispatch(self, caller: Caller, name: str, argument: Any, answer: Answer) -> None:
        """Take one command. Everything that is wrong with it goes to `answer`."""
        bound = self._bound.get(name)
        try:
            if bound is None:
                raise Failure(UNKNOWN_COMMAND, command=name[:64])
            answer.tally = bound.tally
            entry = bound.entry
            if caller.socket is not None and not entry.socket:
                raise Failure(UNKNOWN_COMMAND, command=name, reason="It is on the HTTP door alone.")
            if bound.roles and caller.role not in bound.roles:
                raise Failure(FORBIDDEN if caller.role else UNAUTHENTICATED)
            caller.active_s = now_s = self._clock_s()
            caller.budgets[entry.rate].take(1, now_s)
            command = _decode(bound, argument)
        except Failure as failure:
            answer.reject(failure)
            return
        if self._traced:
            self._trace(caller, command, answer, name)
        if caller.held is None or entry.door is not Door.ACTOR:
            bound.handler(caller, command, answer)
        elif len(caller.held) < MAX_INBOX:
            caller.held.append((bound.handler, command, answer))
        else:
            answer.reject(Failure(OVERLOADED, retry_after_ms=1_000))

    def _trace(self, caller: Caller, command: Any, answer: Answer, name: str) -> None:
        request_id = getattr(command, "request_id", None)
        answer.command = name
        answer.trace = str(request_id) if request_id else f"{id(answer):x}"
        extra = {"request_id": answer.trace, "command": name, "user_id": caller.user_id}
        log.debug("received", extra=extra)


def _decode(bound: _Bound, argument: Any) -> Any:
    try:
        if argument is None:
            return bound.decode(_EMPTY)
        decoded = type(argument) is not msgspec.Raw
        command = (
            msgspec.convert(argument, bound.entry.request) if decoded else bound.decode(argument)
        )
    except msgspec.MsgspecError as error:
        raise Failure(MALFORMED, reason=str(error)) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise Failure(MALFORMED, reason="The message is not valid JSON.") from error
    suspect = decoded or _ESCAPE in bytes(argument)
    if suspect and _has_nul(argument if decoded else msgspec.json.decode(argument)):
        raise Failure(MALFORMED, reason="A text holds the character NUL.")
    return command


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(map(_has_nul, value))
