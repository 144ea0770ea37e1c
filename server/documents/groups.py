"""Commands by what they are about, as the documents present them."""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from protocol.catalogue import COMMANDS, Entry


class Group(NamedTuple):
    """What one module of `protocol.commands` declares, with that module's own words."""

    name: str
    summary: str
    commands: tuple[Entry, ...]

    @staticmethod
    def name_of(entry: Entry) -> str:
        """The group that a command belongs to."""
        return entry.request.__module__.rpartition(".")[2]


def grouped() -> Iterator[Group]:
    """All groups, in the catalogue's order."""
    for module in dict.fromkeys(entry.request.__module__ for entry in COMMANDS.values()):
        commands = tuple(entry for entry in COMMANDS.values() if entry.request.__module__ == module)
        summary = (sys.modules[module].__doc__ or "").partition("\n")[0]
        yield Group(Group.name_of(commands[0]), summary, commands)
