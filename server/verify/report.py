"""What a verification found, said twice: as JSON, and in lines for people."""

from typing import Any, Final

import click
import msgspec

_LABEL_WIDTH: Final = 18


def exactly(hundredths: int) -> str:
    """A number of hundredths with both decimals: 2807 is 28.07."""
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def briefly(hundredths: int) -> str:
    """A number of hundredths with the decimals it needs: 560 is 5.6, 100000 is 1000."""
    return exactly(hundredths).rstrip("0").rstrip(".")


def number(digits: str) -> msgspec.Raw:
    """A JSON number with just these digits: no float comes between."""
    return msgspec.Raw(digits.encode())


class Report:
    """Findings, in the order they are added."""

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._lines: list[str] = []
        self._passed = True

    def add(self, name: str, value: object) -> None:
        """Add what only JSON says."""
        self._answer[name] = value

    def say(self, label: str, text: str) -> None:
        """Add what only people are told."""
        self._lines.append(f"{label:<{_LABEL_WIDTH - 1}} {text}")

    def check(self, name: str, passed: bool, said: str) -> None:
        """Add a comparison. If it fails, so does the command."""
        self._answer[name] = passed
        self.say("", said if passed else f"NOT {said}")
        self._passed = self._passed and passed

    def show(self, *, as_json: bool) -> None:
        """Print everything. Ends the command with exit code 1 if a comparison failed."""
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(self._answer), indent=0))
        else:
            click.echo("\n".join(line.rstrip() for line in self._lines))
        if not self._passed:
            raise click.exceptions.Exit(1)
