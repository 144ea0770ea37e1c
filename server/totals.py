"""A node's counters that stand for its traffic, read off its parts at one moment."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from protocol.catalogue import COMMANDS, Rate
from protocol.commands.bets import PlaceBets
from server.commands.bets import BetCommands
from server.reply import OK
from server.router import Router
from server.sockets.counters import Counters


class Totals(NamedTuple):
    """All since the start. None of them ever falls."""

    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    opened: int = 0
    ended: int = 0
    commands: int = 0
    bets: int = 0


def read(counters: Counters, router: Router, bets: BetCommands) -> Totals:
    """The totals as they stand now."""
    tallies = router.tallies
    return Totals(
        packets_in=counters.packets_in,
        packets_out=counters.packets_out,
        bytes_in=counters.bytes_in,
        bytes_out=counters.bytes_out,
        opened=counters.opened,
        ended=counters.opened - counters.open_by_transport.total(),
        commands=sum(tally.total() for tally in tallies.values()),
        bets=settled(tallies, bets),
    )


def settled(tallies: Mapping[str, Counter[str]], bets: BetCommands) -> int:
    """Bets answered with a result, alone or in batches, repeated requests included."""
    single = sum(
        tallies[name][OK]
        for name, entry in COMMANDS.items()
        if entry.rate is Rate.BETS and entry.request is not PlaceBets
    )
    return single + bets.settled_in_batches
