"""How commands and their answers are written for other nodes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from actors.kind import Kind
from protocol.errors import ERRORS, INTERNAL, Failure


class Ask(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command for an actor elsewhere.

    `hops` counts the nodes that have passed it on without having owned its shard; `expires_ms` is
    when nobody waits for it any more.
    """

    id: int
    hops: int
    expires_ms: int
    shard: int
    kind: str
    key: int
    name: str
    command: msgspec.Raw


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to an ask: how it ended, and with what."""

    id: int
    how: int
    value: msgspec.Raw


# How an ask ends: with a value for a client, with one that our own code looks into, with a refusal
# that was committed, or refused.
PLAIN: Final = 0
TYPED: Final = 1
COMMITTED_REFUSAL: Final = 2
REFUSED: Final = 3


def _written(value: Any) -> Any:
    if isinstance(value, Failure):
        return value.kind.code, value.details
    raise TypeError(f"{type(value).__name__} does not travel")


def _read(type_: type, value: Any) -> Any:
    if type_ is Failure:
        return failure_of(*value)
    raise TypeError(f"{type_.__name__} does not travel")


def failure_of(code: str, details: Mapping[str, Any]) -> Failure:
    """The failure of a code; one that only another version knows is `internal`."""
    return Failure(ERRORS.get(code, INTERNAL), **details)


_encode = msgspec.msgpack.Encoder(enc_hook=_written).encode
_decode_plain = msgspec.msgpack.Decoder().decode
_decode_failure = msgspec.msgpack.Decoder(tuple[str, dict[str, Any]]).decode
_decode_typed = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode
decode_ask: Final = msgspec.msgpack.Decoder(Ask).decode
decode_told: Final = msgspec.msgpack.Decoder(Told).decode


class Codec:
    """All commands that actors take, by the names they travel under, and their answers.

    `answers` are the types that our own code looks into. All others go to clients as they are, and
    arrive as plain objects.
    """

    def __init__(self, kinds: Mapping[str, Kind], answers: Iterable[type[msgspec.Struct]]) -> None:
        self._answers = {type_.__name__: type_ for type_ in answers}
        self._decoders: dict[tuple[str, str], Callable[[msgspec.Raw], Any]] = {}
        for kind in kinds.values():
            for type_ in kind.rules:
                name = (kind.name, type_.__name__)
                assert name not in self._decoders, f"{name} is the name of two commands"
                self._decoders[name] = msgspec.msgpack.Decoder(type_, dec_hook=_read).decode

    def command(self, ask: Ask) -> Any:
        """The command of an ask. Raises Failure `internal` for what only another version knows."""
        decode = self._decoders.get((ask.kind, ask.name))
        if decode is None:
            raise Failure(INTERNAL, command=ask.name)
        try:
            return decode(ask.command)
        except msgspec.DecodeError as error:
            raise Failure(INTERNAL, command=ask.name, reason=str(error)) from error

    def told(self, ask_id: int, value: Any) -> Told:
        """The answer of a command that was done."""
        if type(value) is Failure:
            return Told(ask_id, COMMITTED_REFUSAL, encode(value))
        name = type(value).__name__
        if name in self._answers:
            return Told(ask_id, TYPED, encode((name, value)))
        return Told(ask_id, PLAIN, encode(value))

    def refused(self, ask_id: int, failure: Failure) -> Told:
        """The answer of a command that was refused, or whose outcome is unknown."""
        return Told(ask_id, REFUSED, encode(failure))

    def value(self, answer: Told) -> Any:
        """What a reply is resolved with; a refusal as a Failure."""
        if answer.how == PLAIN:
            return _decode_plain(answer.value)
        if answer.how == TYPED:
            name, value = _decode_typed(answer.value)
            return msgspec.msgpack.decode(value, type=self._answers[name])
        return failure_of(*_decode_failure(answer.value))


def encode(value: Any) -> msgspec.Raw:
    """A command or a value, as it travels inside of a frame."""
    return msgspec.Raw(_encode(value))
