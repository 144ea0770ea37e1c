"""How facts become rows and rows become facts: the one place that knows the columns."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from actors.crash.commands import Join
from actors.crash.facts import RoundEntry
from actors.crash.rules import CRASH
from actors.decision import Message
from actors.wallet import commands
from actors.wallet.facts import (
    BET,
    Bet,
    Entry,
    RestrictionSet,
    SeedPair,
    SeedPairIssued,
    Step,
)
from actors.wallet.rules import WALLET
from storage.vault import Vault

Row = tuple[Any, ...]


class Table(NamedTuple):
    """Where a type of fact is stored, whose facts they are, and how one is written."""

    name: str
    kind: str
    columns: tuple[str, ...]
    row: Callable[[Any], Row]


ENTRY_COLUMNS: Final = (
    "wallet_id",
    "seq",
    "currency",
    "kind",
    "available_delta",
    "held_delta",
    "available_after",
    "held_after",
    "counterparty",
    "request_id",
    "at_ms",
    "game",
    "stake",
    "payout",
    "pair",
    "nonce",
    "parameters",
    "outcome",
    "hold",
)

_NO_BET: Final = (None,) * 8


def entry_row(entry: Entry) -> Row:
    """An entry in the order of ENTRY_COLUMNS."""
    bet, step = entry.bet, entry.step
    if bet is not None:
        play = (*msgspec.structs.astuple(bet), None)
    elif step is not None:
        play = msgspec.structs.astuple(step)
    else:
        play = _NO_BET if entry.rain is None else (None,) * 5 + (entry.rain, None, None)
    return (
        entry.wallet_id,
        entry.seq,
        entry.currency,
        entry.kind,
        entry.available_delta,
        entry.held_delta,
        entry.available_after,
        entry.held_after,
        entry.counterparty,
        entry.request_id,
        entry.at_ms,
        *play,
    )


def entry_of(row: Mapping[str, Any]) -> Entry:
    """The entry that a row of wallet_entries holds."""
    bet = step = None
    if row["game"] is not None:
        play = (
            row["game"],
            row["stake"],
            row["payout"],
            row["pair"],
            row["nonce"],
            row["parameters"],
            row["outcome"],
        )
        if row["kind"] == BET:
            bet = Bet(*play)
        else:
            step = Step(*play, row["hold"])
    # What is not play has parameters only where it is a rain.
    rain = row["parameters"] if row["game"] is None else None
    return Entry(
        row["wallet_id"],
        row["seq"],
        row["currency"],
        row["kind"],
        row["available_delta"],
        row["held_delta"],
        row["available_after"],
        row["held_after"],
        row["counterparty"],
        row["request_id"],
        row["at_ms"],
        bet,
        step,
        rain,
    )


PAIR_COLUMNS: Final = (
    "wallet_id",
    "number",
    "server_number",
    "after_seq",
    "sealed_server_seed",
    "server_seed_hash",
    "client_seed",
    "first_nonce",
    "at_ms",
)


def seed_place(wallet_id: int, server_number: int) -> str:
    """What a sealed server seed is bound to."""
    return f"wallet_seed_pairs/{wallet_id}/{server_number}"


def pair_row(vault: Vault, issued: SeedPairIssued) -> Row:
    """A seed pair in the order of PAIR_COLUMNS, its server seed sealed."""
    pair = issued.pair
    return (
        issued.wallet_id,
        pair.number,
        pair.server_number,
        issued.after_seq,
        vault.seal(pair.server_seed, seed_place(issued.wallet_id, pair.server_number)),
        pair.server_seed_hash,
        pair.client_seed,
        pair.first_nonce,
        issued.at_ms,
    )


def open_seed(vault: Vault, row: Mapping[str, Any]) -> str:
    """The server seed of a row of wallet_seed_pairs. Raises WrongKeyError."""
    place = seed_place(row["wallet_id"], row["server_number"])
    return vault.open(row["sealed_server_seed"], place)


def pair_of(vault: Vault, row: Mapping[str, Any]) -> SeedPairIssued:
    """The fact that a row of wallet_seed_pairs holds."""
    pair = SeedPair(
        row["number"],
        row["server_number"],
        open_seed(vault, row),
        row["server_seed_hash"],
        row["client_seed"],
        row["first_nonce"],
    )
    return SeedPairIssued(row["wallet_id"], row["after_seq"], pair, row["at_ms"])


RESTRICTION_COLUMNS: Final = (
    "wallet_id",
    "number",
    "after_seq",
    "kind",
    "period",
    "currency",
    "amount",
    "effective_at_ms",
    "until_ms",
    "at_ms",
)


def restriction_of(row: Mapping[str, Any]) -> RestrictionSet:
    """The fact that a row of wallet_restrictions holds."""
    return RestrictionSet(*(row[column] for column in RESTRICTION_COLUMNS))


ROUND_COLUMNS: Final = (
    "table_id",
    "seq",
    "round",
    "kind",
    "at_ms",
    "wallet_id",
    "hold",
    "player",
    "stake",
    "auto_cashout",
    "multiplier",
    "payout",
    "bets",
    "chain_id",
    "position",
    "hash",
    "reason",
    "edge_percent",
    "target",
)


def round_entry_of(row: Mapping[str, Any]) -> RoundEntry:
    """The entry that a row of crash_entries holds."""
    return RoundEntry(*(row[column] for column in ROUND_COLUMNS))


OUTBOX_COLUMNS: Final = ("message_id", "shard", "kind", "key", "command", "body", "at_ms")

# Commands that travel between actors, by the name that stands in the outbox.
_MESSAGES: Final[dict[str, type[msgspec.Struct]]] = {
    type_.__name__: type_
    for type_ in (
        commands.ReceiveTip,
        commands.ReturnTip,
        commands.ReceiveRain,
        commands.ReturnRain,
        commands.SettleHold,
        commands.ReleaseHold,
        Join,
    )
}


def message_row(message: Message, shard: int, at_ms: int) -> Row:
    """A message in the order of OUTBOX_COLUMNS; `shard` is the sender's, who sends it again."""
    name = type(message.body).__name__
    assert name in _MESSAGES, f"{name} is not declared as a message"
    body = msgspec.json.encode(message.body).decode()
    return (message.id, shard, message.kind, message.key, name, body, at_ms)


def message_of(row: Mapping[str, Any]) -> Message:
    """The message that a row of the outbox holds."""
    body = msgspec.json.decode(row["body"], type=_MESSAGES[row["command"]])
    return Message(row["message_id"], row["kind"], row["key"], body)


def tables(vault: Vault) -> dict[type, Table]:
    """Every type of fact, and where it is stored."""
    return {
        Entry: Table("wallet_entries", WALLET, ENTRY_COLUMNS, entry_row),
        SeedPairIssued: Table(
            "wallet_seed_pairs", WALLET, PAIR_COLUMNS, lambda fact: pair_row(vault, fact)
        ),
        RoundEntry: Table("crash_entries", CRASH, ROUND_COLUMNS, msgspec.structs.astuple),
        RestrictionSet: Table(
            "wallet_restrictions", WALLET, RESTRICTION_COLUMNS, msgspec.structs.astuple
        ),
    }
