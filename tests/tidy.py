"""House rules that no linter knows: sizes, words and names, checked in every file of the tree."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOP_LEVEL = {
    ".ci", "actors", "benchmarks", "docs", "protocol", "server", "storage", "tests"
}  # fmt: skip
# Made by tools, never committed.
IGNORED = {
    ".git", ".hypothesis", ".import_linter_cache", ".mypy_cache", ".pytest_cache", ".ruff_cache",
    ".venv", "__pycache__", "build", "data", "dist", "node_modules",
}  # fmt: skip
# What is written by hand; "" is a Makefile, a Dockerfile or a file whose name begins with a dot.
TEXT = {
    "", ".css", ".html", ".in", ".js", ".json", ".md", ".mjs", ".py", ".sql", ".toml", ".txt",
    ".yaml",
}  # fmt: skip
LOCKED = {"package-lock.json", "requirements.txt", "requirements-dev.txt"}
# Figures, as long as they are many.
RESULTS = Path("benchmarks/results")

MAX_COLUMNS = 100
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 70
UNFINISHED = re.compile(r"\b(TODO|FIXME)\b|(#|//|--) *XXX\b")
REGISTRY = re.compile(
    r'"resolved": *"http|https?://[^\s"]*/simple\b|--(extra-)?index-url|--find-links'
)
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|home|Users|opt|tmp)/\w")
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "shared", "stuff", "util", "utils"}
JUSTIFIED = re.compile(r"noqa: [A-Z]+\d+(, ?[A-Z]+\d+)* - \S|type: ignore\[[a-z, -]+\] +# \S")
PRAGMA = re.compile(r"  # (noqa|type: ignore).*")
# Programs that people start and read.
PRINTS = (
    "server/cli", "benchmarks/", "tests/conformance/app.py", "tests/conformance/suites.py",
    "tests/fuzz/__main__.py", "tests/simulation/__main__.py",
)  # fmt: skip
# The rules themselves, and their tests, have to name what they forbid.
RULES = {Path("tests/tidy.py"), Path("tests/test_tidy.py")}


def files() -> Iterator[Path]:
    """Every text file of the project, relative to its root."""
    folders = [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            if path.name in IGNORED:
                continue
            if path.is_dir():
                folders.append(path)
            elif path.suffix in TEXT:
                yield path.relative_to(ROOT)


def strange_folders() -> list[str]:
    """Top-level folders that the house does not have."""
    found = {path.name for path in ROOT.iterdir() if path.is_dir()}
    return sorted(found - TOP_LEVEL - IGNORED)


def problems(path: Path, text: str) -> list[str]:
    """What is untidy in one file, each with its place."""
    found = [*_of_name(path)]
    if path not in RULES:
        found += _of_words(path, text)
    if path.name not in LOCKED and RESULTS not in path.parents:
        found += _of_size(path, text)
    if path.suffix == ".py":
        found += _of_code(path, text)
    return found


def _of_name(path: Path) -> Iterator[str]:
    for part in (*path.parts[:-1], path.stem):
        if part in VAGUE_NAMES:
            yield f"{path}: {part} names nothing"


def _of_size(path: Path, text: str) -> Iterator[str]:
    lines = text.splitlines()
    if len(lines) > MAX_FILE_LINES:
        yield f"{path}: {len(lines)} lines; is it two things?"
    if path.suffix in {".py", ".md", ".sql", ".js", ".mjs"}:
        for number, line in enumerate(lines, start=1):
            columns = len(PRAGMA.sub("", line))  # its reason must stand on the very line
            # One long word cannot be wrapped, and neither can a row of a table.
            row = path.suffix == ".md" and line.startswith("|")
            if columns > MAX_COLUMNS and " " in line.strip() and not row:
                yield f"{path}:{number}: {columns} columns"


def _of_words(path: Path, text: str) -> Iterator[str]:
    rules = {"unfinished": UNFINISHED, "registry address": REGISTRY, "machine path": MACHINE_PATH}
    for number, line in enumerate(text.splitlines(), start=1):
        for name, pattern in rules.items():
            match = pattern.search(line)
            if match:
                yield f"{path}:{number}: {name} {match[0]!r}"


def _of_code(path: Path, text: str) -> Iterator[str]:
    may_print = path.as_posix().startswith(PRINTS)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {lines} lines"
        if isinstance(node, ast.Name) and node.id == "print" and not may_print:
            yield f"{path}:{node.lineno}: print outside the command line"
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        pragma = token.type == tokenize.COMMENT and PRAGMA.search(f"  {token.string}")
        if pragma and not JUSTIFIED.search(token.string):
            yield f"{path}:{token.start[0]}: an ignore without its code and its reason"
