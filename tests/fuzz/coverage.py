"""Which lines and jumps of the code under test a case reaches, and how many steps it takes."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
UNDER_TEST: Final = (ROOT / "protocol", ROOT / "server" / "sockets")

# Lines have fewer digits than this; a jump is two lines and the function they are in.
_LINE_BITS: Final = 16
# CPython's flag for a function's own code, as opposed to a module's or a class's.
_NEWLOCALS: Final = 0x2


class Coverage:
    """Counts the jumps between lines of `UNDER_TEST` since the start, for whoever runs in it."""

    def __init__(self) -> None:
        self.steps = 0
        self.jumps: set[int] = set()
        self._folders = tuple(f"{folder}/" for folder in UNDER_TEST)
        # By code object: its number, or None where it is not under test.
        self._functions: dict[CodeType, int | None] = {}

    def run(self, function: Callable[[], str]) -> str:
        """Call a function while looking on. `steps` counts its lines alone."""
        self.steps = 0
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return function()
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _arg: Any) -> Callable[..., Any] | None:
        code = frame.f_code
        try:
            function = self._functions[code]
        except KeyError:
            ours = code.co_filename.startswith(self._folders)
            function = self._functions[code] = len(self._functions) if ours else None
        return None if function is None else self._follow(function << 2 * _LINE_BITS)

    def _follow(self, function: int) -> Callable[..., Any]:
        last_line = 0
        jumps = self.jumps

        def step(frame: FrameType, event: str, _arg: Any) -> Callable[..., Any]:
            nonlocal last_line
            if event == "line":
                self.steps += 1
                line = frame.f_lineno
                jumps.add(function | last_line << _LINE_BITS | line)
                last_line = line
            return step

        return step

    def reached(self) -> dict[str, set[int]]:
        """The lines reached so far, by file relative to the root."""
        files = {number: code.co_filename for code, number in self._functions.items()}
        lines: dict[str, set[int]] = {}
        for jump in self.jumps:
            path = files[jump >> 2 * _LINE_BITS]
            line = jump & (1 << _LINE_BITS) - 1
            lines.setdefault(str(Path(path).relative_to(ROOT)), set()).add(line)
        return lines


def lines_of(path: str) -> set[int]:
    """The lines of a file's functions, which run when something is asked of them."""
    text = (ROOT / path).read_text()
    docstrings = set(_docstring_lines(text))
    found: set[int] = set()
    codes = [compile(text, path, "exec")]
    while codes:
        code = codes.pop()
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
        if code.co_flags & _NEWLOCALS:
            found |= {line for *_, line in code.co_lines() if line} - {code.co_firstlineno}
    return found - docstrings


def _docstring_lines(text: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            yield from range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)


def summary(coverage: Coverage) -> Iterator[str]:
    """A line for each file: how much of it was reached."""
    for path, reached in sorted(coverage.reached().items()):
        lines = lines_of(path)
        missed = ", ".join(map(str, sorted(lines - reached)[:12]))
        yield f"{len(reached & lines):4} of {len(lines):4} lines  {path}  (not: {missed or '-'})"
