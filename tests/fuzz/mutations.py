"""How a case becomes another: at the level of bytes, of fields, and of the sequence of parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.fuzz.case import MAX_CASE_BYTES, Case, bounded

# Bytes at which parsers decide: structure, ends of ranges, and parts of broken UTF-8.
_TELLING_BYTES: Final = b'[]{},:"\\/-0123456789 \r\n\t\x00\x1e\x7f\x80\xbf\xc0\xc1\xdf\xed\xff'
# Values at the ends of the ranges that decoders treat apart.
TELLING_WORDS: Final = (
    b'"_placeholder"', b'"num"', b'{"_placeholder":true,"num":0}', b"true", b"false", b"null",
    b"-0", b"1e400", b"0.0", b"1.5", b"9007199254740993", b"18446744073709551616", b"-1", b"01",
    b"NaN", b'"\\ud800"', b'"\\u0000"', b'"\\x"', b'""', b"[]", b"{}", b"[[", b"]]", b'"connect"',
    b'"__proto__"', b"/", b"/chat,", b"0-", b"1-", b"10-", b"11-", b"99999999999999999999",
    b"2probe", b"3probe", b"\x1eb", b"\x1e4", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"b64=",
    b"\r\n", b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n", b"\r\n\r\n", b": ",
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xdb\x7f\xff\xff\xff", b"\x81", b"\x91", b"\xa4type", b"\xa3nsp", b"\xa4data", b"\xa2id",
    b"\xc7\x00\x00",
    b"\xd4\x00\x00",
)  # fmt: skip
# Fields of texts: numbers, strings, brackets, words.
_FIELD: Final = re.compile(rb'-?[0-9]+|"(?:[^"\\]|\\.)*"|[\[\]{},:]|[A-Za-z_]+|[^\w\s]')
# Enough to pass every bound on depth, and the decoders' own guards.
_DEPTHS: Final = (1, 2, 31, 32, 33, 34, 600, 900, 960, 1_500, 20_000)


def mutate(rng: Random, case: Case, other: Case) -> Case:
    """One case made of another, with pieces of a third."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        case = rng.choice(_MUTATIONS)(rng, case, other)
    return bounded(case)


def _in_part(change: Callable[[Random, bytes], bytes]) -> Callable[[Random, Case, Case], Case]:
    """A change of one part, made a change of a case."""

    def mutation(rng: Random, case: Case, _other: Case) -> Case:
        # The first part says what the others mean, so it is changed as often as all of them.
        index = 0 if rng.random() < 0.5 else rng.randrange(len(case))
        return (*case[:index], change(rng, case[index]), *case[index + 1 :])

    return mutation


def _range(rng: Random, part: bytes) -> tuple[int, int]:
    start = rng.randint(0, len(part))
    return start, min(len(part), start + rng.choice((1, 1, 2, 4, 16, 64)))


def flip_bit(rng: Random, part: bytes) -> bytes:
    """Change one bit."""
    if not part:
        return part
    index = rng.randrange(len(part))
    flipped = part[index] ^ 1 << rng.randrange(8)
    return part[:index] + bytes((flipped,)) + part[index + 1 :]


def put_byte(rng: Random, part: bytes) -> bytes:
    """Put a byte over or between others."""
    start, end = _range(rng, part)
    if rng.random() < 0.5:
        end = start
    return part[:start] + bytes((rng.choice(_TELLING_BYTES),)) + part[end:]


def put_word(rng: Random, part: bytes) -> bytes:
    """Put a word over or between other bytes."""
    start, end = _range(rng, part)
    if rng.random() < 0.5:
        end = start
    return part[:start] + rng.choice(TELLING_WORDS) + part[end:]


def delete(rng: Random, part: bytes) -> bytes:
    """Leave out a range."""
    start, end = _range(rng, part)
    return part[:start] + part[end:]


def truncate(rng: Random, part: bytes) -> bytes:
    """Leave out the end."""
    return part[: rng.randint(0, len(part))]


def repeat(rng: Random, part: bytes) -> bytes:
    """Repeat a range: a few times, or up to the bound of a case."""
    start, end = _range(rng, part)
    piece = part[start:end] or b"["
    most = MAX_CASE_BYTES // len(piece)
    count = rng.choice((2, 3, 10, 300)) if rng.random() < 0.97 else rng.randint(most // 2, most)
    return part[:start] + piece * count + part[end:]


def replace_field(rng: Random, part: bytes) -> bytes:
    """Put a word, or another field of the same part, in a field's place."""
    fields = list(_FIELD.finditer(part))
    if not fields:
        return put_word(rng, part)
    chosen, source = rng.choice(fields), rng.choice(fields)
    word = source[0] if rng.random() < 0.3 else rng.choice(TELLING_WORDS)
    return part[: chosen.start()] + word + part[chosen.end() :]


def drop_field(rng: Random, part: bytes) -> bytes:
    """Leave out a field."""
    fields = list(_FIELD.finditer(part))
    if not fields:
        return part
    chosen = rng.choice(fields)
    return part[: chosen.start()] + part[chosen.end() :]


def nest_field(rng: Random, part: bytes) -> bytes:
    """Wrap a field in lists, dicts or msgpack's lists of one."""
    fields = list(_FIELD.finditer(part))
    start, end = rng.choice(fields).span() if fields else _range(rng, part)
    before, after = rng.choice(
        ((b"[", b"]"), (b'{"a":', b"}"), (b"\x91", b""), (b"\x81\xa1a", b""))
    )
    depth = rng.choice(_DEPTHS[:6]) if rng.random() < 0.9 else rng.choice(_DEPTHS)
    return part[:start] + before * depth + part[start:end] + after * depth + part[end:]


def drop_part(rng: Random, case: Case, _other: Case) -> Case:
    """Leave out a part."""
    index = rng.randrange(len(case))
    return case[:index] + case[index + 1 :] or case


def double_part(rng: Random, case: Case, _other: Case) -> Case:
    """Repeat a part."""
    index = rng.randrange(len(case))
    return (
        case[: index + 1] + case[index : index + 1] * rng.choice((1, 1, 2, 12)) + case[index + 1 :]
    )


def swap_parts(rng: Random, case: Case, _other: Case) -> Case:
    """Exchange two parts."""
    parts = list(case)
    first, second = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[first], parts[second] = parts[second], parts[first]
    return tuple(parts)


def insert_part(rng: Random, case: Case, other: Case) -> Case:
    """Put a part of another case among the parts."""
    index = rng.randint(0, len(case))
    return (*case[:index], rng.choice(other), *case[index:])


def splice(rng: Random, case: Case, other: Case) -> Case:
    """The beginning of one case and the end of another."""
    return case[: rng.randint(1, len(case))] + other[rng.randrange(len(other)) :]


_IN_PART: Final = (
    flip_bit, put_byte, put_word, delete, truncate, repeat, replace_field, replace_field,
    drop_field, nest_field,
)  # fmt: skip
_MUTATIONS: Final[Sequence[Callable[[Random, Case, Case], Case]]] = (
    *map(_in_part, _IN_PART), drop_part, double_part, swap_parts, insert_part, splice, splice,
)  # fmt: skip
