"""The tree is tidy, and each rule finds what it is there to find."""

from pathlib import Path

import pytest

from tests.tidy import ROOT, files, problems, strange_folders


def test_the_tree_is_tidy() -> None:
    paths = set(files())
    assert {Path("Makefile"), Path(".ci/run"), Path("server/app.py"), Path("README.md")} < paths
    found = [line for path in paths for line in problems(path, (ROOT / path).read_text())]
    assert not found, "\n".join(found)


def test_the_top_level_is_fixed() -> None:
    assert not strange_folders()


LONG_FUNCTION = "def long() -> None:\n" + "    pass\n" * 70


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("server/wide.py", "# " + "#" * 99, "server/wide.py:1: 101 columns"),
        ("docs/wide.md", "\n- " + "-" * 99, "docs/wide.md:2: 101 columns"),
        ("server/tall.py", "\n" * 601, "601 lines"),
        ("server/long.py", LONG_FUNCTION, "server/long.py:1: long has 71 lines"),
        ("server/open.py", "# TODO: later", "unfinished"),
        ("README.md", "FIXME", "unfinished"),
        ("server/open.py", "# XXX: odd", "unfinished"),
        ("server/loud.py", "print(1)", "print outside the command line"),
        ("server/lax.py", "a = 1  # noqa", "an ignore without its code"),
        ("server/lax.py", "a = 1  # noqa: S105", "an ignore without its code"),
        ("server/lax.py", "a = 1  # type: ignore", "an ignore without its code"),
        ("server/lax.py", "a = 1  # type: ignore[misc]", "an ignore without its code"),
        ("requirements.txt", "--index" + "-url https://host/simple", "registry address"),
        ("requirements.txt", "--find-links somewhere", "registry address"),
        (
            "tests/javascript/package-lock.json",
            '"resolved": ' + '"https://h/x"',
            "registry address",
        ),
        ("README.md", "cd /" + "work/main", "machine path"),
        ("README.md", "cat /tmp/log", "machine path"),
        ("server/utils.py", "", "utils names nothing"),
        ("server/helpers/wallet.py", "", "helpers names nothing"),
    ],
)
def test_a_rule_finds_what_breaks_it(name: str, text: str, problem: str) -> None:
    found = problems(Path(name), text)
    assert len(found) == 1
    assert problem in found[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", "\n" * 5_000),
        ("benchmarks/results/bets-2026-11-21.json", "\n" * 5_000),
        ("server/fine.py", "CODE = 'XXX'"),
        ("server/fine.py", "a = 1  # noqa: S105 - " + "x" * 100),
        ("docs/fine.md", "| a | " + "b" * 100 + " |"),
        ("server/cli.py", "print(1)"),
        ("benchmarks/bets.py", "print(1)"),
        ("server/fine.py", "a = 1  # noqa: S105, E501 - a name, not a password"),
        ("server/fine.py", "a = 1  # type: ignore[misc]  # the library has no types"),
        ("README.md", "served at http://127.0.0.1/work/x, kept below /root"),
        ("Makefile", "pip-compile --no-emit-index-url"),
    ],
)
def test_a_rule_lets_the_rest_be(name: str, text: str) -> None:
    assert problems(Path(name), text) == []
