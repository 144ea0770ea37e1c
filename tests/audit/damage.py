"""Ways to damage the ledger of `played`, and the checks that must notice, no others.

Where a bet's seed or nonce is changed, whether its roll still wins is luck, but the same in every
run: the seeds of the tests are fixed.
"""

from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from protocol.ids import message_id
from storage.vault import Vault
from tests.audit.ledger import ALICE, DAVE, KEY


class Damage(NamedTuple):
    """What is done to the ledger, and the names of the checks that must notice, no others."""

    name: str
    checks: set[str]
    statements: tuple[str, ...]


def harm(name: str, checks: str, *statements: str) -> Damage:
    return Damage(name, set(checks.split()), statements)


DAMAGE = [
    # The chain of rows.
    harm(
        "a balance",
        "balance",
        "update wallet_entries set available_after = available_after + 1"
        " where wallet_id = 1 and seq = 5",
    ),
    harm(
        "a newest balance",
        "balance books snapshot",
        "update wallet_entries set available_after = available_after + 1"
        " where wallet_id = 1 and seq = 16",
    ),
    harm(
        "money that a row made appear",
        "balance books snapshot",
        "update wallet_entries set available_after = available_after + 1"
        " where wallet_id = 2 and seq >= 4",
    ),
    harm(
        "a missing bet",
        "gap balance nonce books",
        "delete from wallet_entries where wallet_id = 1 and seq = 5",
    ),
    harm(
        "a missing deposit",
        "gap balance books",
        "delete from wallet_entries where wallet_id = 1 and seq = 1",
    ),
    harm(
        "a missing newest row",
        "snapshot",
        "delete from wallet_entries where wallet_id = 2 and seq = 7",
    ),
    harm(
        "a number that was skipped",
        "gap snapshot",
        "update wallet_entries set seq = 8 where wallet_id = 2 and seq = 7",
        "update wallet_snapshots set seq = 8 where wallet_id = 2",
    ),
    harm(
        "a held amount",
        "balance held",
        "update wallet_entries set held_after = 5 where wallet_id = 1 and seq = 5",
    ),
    harm(
        "a hold that nobody opened",
        "held kind books snapshot",
        "update wallet_entries set held_delta = 5, held_after = 5 where wallet_id = 4 and seq = 3",
    ),
    harm(
        "a negative balance",
        "balance negative",
        "alter table wallet_entries drop constraint wallet_entries_available_after_check",
        "update wallet_entries set available_after = -1 where wallet_id = 1 and seq = 5",
    ),
    harm(
        "a deposit called withdrawal",
        "kind",
        "update wallet_entries set kind = 'withdrawal' where wallet_id = 1 and seq = 9",
    ),
    harm(
        "a kind that does not exist",
        "kind books",
        "update wallet_entries set kind = 'gift' where wallet_id = 1 and seq = 9",
    ),
    harm(
        "a bet that moved another amount",
        "balance kind",
        "update wallet_entries set available_delta = available_delta + 1"
        " where wallet_id = 1 and seq = 5",
    ),
    # Bets and their seeds.
    harm(
        "a payout, its balances with it",
        "payout books snapshot",
        "update wallet_entries set payout = payout + 7, available_delta = available_delta + 7"
        " where wallet_id = 2 and seq = :a_win",
        "update wallet_entries set available_after = available_after + 7"
        " where wallet_id = 2 and seq >= :a_win",
    ),
    harm(
        "a loss that was paid",
        "outcome payout kind",
        "update wallet_entries set payout = 200,"
        " outcome = jsonb_set(outcome, '{won}', 'true') where wallet_id = 2 and seq = :a_loss",
    ),
    harm(
        "a flipped roll",
        "outcome",
        "update wallet_entries set outcome = jsonb_set(outcome, '{roll}', '4999')"
        " where wallet_id = 1 and seq = 5",
    ),
    harm(
        "a duplicate nonce",
        "nonce outcome payout books",
        "update wallet_entries set nonce = 0 where wallet_id = 1 and seq = 3",
    ),
    harm(
        "a skipped nonce",
        "nonce outcome payout books",
        "update wallet_entries set nonce = 9 where wallet_id = 1 and seq = 8",
    ),
    harm(
        "a bet on an older pair",
        "pair",
        "update wallet_entries set pair = 1 where wallet_id = 1 and seq = 6",
    ),
    harm(
        "an unknown game",
        "game nonce",
        "update wallet_entries set game = 'roulette' where wallet_id = 1 and seq = 3",
    ),
    harm(
        "a target",
        "outcome payout books",
        "update wallet_entries set parameters = jsonb_set(parameters, '{target}', '1')"
        " where wallet_id = 1 and seq = 5",
    ),
    harm(
        "a target that no bet has",
        "parameters",
        "update wallet_entries set parameters = jsonb_set(parameters, '{target}', '10000')"
        " where wallet_id = 1 and seq = 5",
    ),
    harm(
        "parameters that are none",
        "parameters",
        "update wallet_entries set parameters = '{}' where wallet_id = 1 and seq = 5",
    ),
    harm(
        "a seed hash",
        "seed_hash",
        "update wallet_seed_pairs set server_seed_hash = repeat('0', 64)"
        " where wallet_id = 1 and number = 3",
    ),
    harm(
        "a client seed",
        "outcome",
        "update wallet_seed_pairs set client_seed = 'unlucky' where wallet_id = 1 and number = 2",
    ),
    harm(
        "a sealed seed of another wallet",
        "seed_sealed",
        "update wallet_seed_pairs set sealed_server_seed = (select sealed_server_seed from"
        " wallet_seed_pairs where wallet_id = 2) where wallet_id = 1 and number = 3",
    ),
    harm(
        "a hash of another wallet",
        "seed_hash seed_reused",
        "update wallet_seed_pairs set server_seed_hash = (select server_seed_hash from"
        " wallet_seed_pairs where wallet_id = 2) where wallet_id = 1 and number = 3",
    ),
    harm(
        "a missing pair",
        "pair_order pair",
        "delete from wallet_seed_pairs where wallet_id = 1 and number = 2",
    ),
    harm(
        "a pair that skips nonces",
        "nonce",
        "update wallet_seed_pairs set first_nonce = 5 where wallet_id = 1 and number = 2",
    ),
    harm(
        "a pair issued later than it says",
        "pair nonce",
        "update wallet_seed_pairs set after_seq = 5 where wallet_id = 1 and number = 2",
    ),
    harm(
        "a pair issued before the one it follows",
        "pair_order pair",
        "update wallet_seed_pairs set after_seq = 3 where wallet_id = 1 and number = 3",
    ),
    harm(
        "a server seed left out",
        "pair_order seed_sealed",
        "update wallet_seed_pairs set server_number = 3 where wallet_id = 1 and number = 3",
    ),
    harm(
        "a server seed that changed with the client seed",
        "seed_changed outcome payout",
        "update wallet_seed_pairs set sealed_server_seed = :another_seed, server_seed_hash = :hash"
        " where wallet_id = 1 and number = 2",
    ),
    # Tips and their messages.
    harm(
        "a missing leg",
        "leg_missing gap balance",
        "delete from wallet_entries where wallet_id = 2 and seq = 1",
        "delete from outbox where message_id = :to_bob",
    ),
    harm(
        "a missing leg whose message waits",
        "gap balance books",
        "delete from wallet_entries where wallet_id = 2 and seq = 1",
    ),
    harm("a message lost", "leg_missing books", "delete from outbox where message_id = :to_carol"),
    harm(
        "a way back lost",
        "return_missing books",
        "delete from outbox where message_id = :back_to_alice",
    ),
    harm(
        "a leg of another amount",
        "leg_mismatch balance",
        "update wallet_entries set available_delta = 299 where wallet_id = 2 and seq = 1",
    ),
    harm(
        "a leg from another sender",
        "leg_mismatch leg_without_origin",
        "update wallet_entries set counterparty = 3 where wallet_id = 2 and seq = 1",
    ),
    harm(
        "a leg out of nowhere",
        "leg_without_origin leg_missing",
        "update wallet_entries set request_id = :from_nowhere_in_1 where wallet_id = 2 and seq = 1",
        "delete from outbox where message_id = :to_bob",
    ),
    harm(
        "a leg by another id",
        "leg_without_origin books",
        "update wallet_entries set request_id = :to_bob_by_a_client"
        " where wallet_id = 2 and seq = 1",
    ),
    harm(
        "a refusal lost",
        "leg_missing message_without_origin snapshot",
        "delete from wallet_entries where wallet_id = 4 and seq = 3",
    ),
    harm(
        "a return of another amount",
        "return_mismatch balance",
        "update wallet_entries set available_delta = 51 where wallet_id = 1 and seq = 15",
    ),
    harm(
        "a return out of nowhere",
        "leg_without_origin return_missing",
        "update wallet_entries set request_id = :from_nowhere_in_4"
        " where wallet_id = 1 and seq = 15",
    ),
    harm(
        "a message of another amount",
        "message_mismatch books",
        "update outbox set body = jsonb_set(body, '{amount_minor}', '201')"
        " where message_id = :to_carol",
    ),
    harm(
        "a message to somebody else",
        "message_mismatch",
        "update outbox set key = 4 where message_id = :to_carol",
    ),
    harm(
        "a way back of another amount",
        "message_mismatch books",
        "update outbox set body = jsonb_set(body, '{amount_minor}', '61')"
        " where message_id = :back_to_alice",
    ),
    harm(
        "a message that nobody sent",
        "message_without_origin books",
        "insert into outbox select '00000000-0000-8001-8000-000000000999', shard, kind, key,"
        " command, body, at_ms from outbox where message_id = :to_carol",
    ),
    # Snapshots.
    harm(
        "a snapshot of other balances",
        "snapshot",
        "update wallet_snapshots set seq = 5 where wallet_id = 1",
    ),
    harm(
        "a snapshot that is none",
        "snapshot",
        "update wallet_snapshots set state = '\\x00' where wallet_id = 1",
    ),
    harm("no snapshots at all", "", "delete from wallet_snapshots"),
]


_SEED = "5" * 64
_SEALED = Vault(KEY).seal(_SEED, f"wallet_seed_pairs/{ALICE}/1").hex()

# What the statements name, so that they stay plain text.
_NAMES = {
    ":to_bob_by_a_client": f"'{UUID(int=message_id(ALICE, 12).int ^ (8 ^ 4) << 76)}'",
    ":to_bob": f"'{message_id(ALICE, 12)}'",
    ":to_carol": f"'{message_id(ALICE, 13)}'",
    ":back_to_alice": f"'{message_id(DAVE, 3)}'",
    ":from_nowhere_in_1": f"'{message_id(ALICE, 500)}'",
    ":from_nowhere_in_4": f"'{message_id(DAVE, 500)}'",
    ":another_seed": f"'\\x{_SEALED}'",
    ":hash": f"'{sha256(_SEED.encode()).hexdigest()}'",
    ":a_win": "(select min(seq) from wallet_entries where wallet_id = 2 and payout > 0)",
    ":a_loss": "(select min(seq) from wallet_entries where wallet_id = 2 and payout = 0)",
}


def spelled(statement: str) -> str:
    """The statement with what it names put in."""
    for name, value in _NAMES.items():
        statement = statement.replace(name, value)
    return statement
