"""A ledger of wallets and a crash table with some of everything, decided by the rules."""

import asyncpg

from actors.crash.chain import before
from actors.crash.commands import CashOut, Join, Leave, StakeCrash, Wake
from actors.runtime.alarms import Alarm
from storage.chains import link_place
from storage.rows import tables
from storage.vault import Vault
from storage.writer import PostgresWriter
from tests.audit.ledger import ALICE, BOB, CAROL, DAVE, KEY, Ledger
from tests.support.rounds import T0, Felt, chain
from tests.support.wallets import request


class CrashLedger(Ledger):
    """Wallets and one table on one clock; messages are delivered when asked."""

    def __init__(self) -> None:
        super().__init__()
        # The second round goes far enough to be cashed out of at 2.00 and is lost at 100.00.
        self.chain = chain(length=6, busts=lambda bust: 400 < bust < 1_000)
        self.felt = Felt(self.chain)

    def to(self, at_ms: int) -> None:
        """Let it be this time for wallets and the table."""
        self.felt.now_ms = at_ms
        self.set_clock(at_ms)

    def stake(self, wallet_id: int, stake: int, auto: int | None = None, number: int = 0) -> None:
        """A wallet holds a stake for a round; its table does not know yet."""
        number = number or self.felt.state.rounds
        self.set_clock(self.felt.now_ms)
        name = f"player{wallet_id}"
        made = StakeCrash(1, number, name, stake, "PLAY", auto, request(self.next()))
        self.do(wallet_id, made)

    def settle(self, *, keep: int = 0) -> None:
        """Deliver what waits, the oldest first, until only so many messages are left."""
        while len(self.outbox) > keep:
            message = self.outbox.pop(0)
            if isinstance(message.body, Join):
                self.felt.do(message.body)
                self.outbox += self.felt.sent
                self.felt.sent.clear()
            else:
                self.deliver(message)

    def table(self, command: object, at_ms: int | None = None) -> None:
        """Something that the table alone decides."""
        self.felt.do(command, at_ms)
        self.set_clock(self.felt.now_ms)
        self.outbox += self.felt.sent
        self.felt.sent.clear()


def played() -> CrashLedger:
    """Round 1: Alice cashes out at 1.50 by her target and Bob at 2.00 by hand, Carol loses, Dave
    leaves; Dave's next bet comes too late. Round 2 is voided with a bet of Alice's paid at 1.01,
    if it gets there, and one of Bob's refunded. Round 3 takes bets: Alice is in it, Bob's stake is
    held and its message is under way. Carol's loss of round 1 is still to be told.
    """  # noqa: D205 - a table, not a summary
    ledger = CrashLedger()
    felt = ledger.felt
    ledger.to(T0)
    for who in (ALICE, BOB, CAROL, DAVE):
        ledger.fund(who, 100_000)
    ledger.table(Wake())
    ledger.stake(ALICE, 1_000, 150)
    ledger.stake(BOB, 2_000)
    ledger.stake(CAROL, 300, 100_000)
    ledger.stake(DAVE, 400)
    ledger.settle()
    ledger.table(Leave(1, DAVE))
    ledger.table(Alarm(), T0 + 5_000)
    ledger.stake(DAVE, 500)
    ledger.settle()
    ledger.table(CashOut(1, BOB), felt.at(200))
    ledger.settle()
    ledger.table(Alarm(), felt.busts_ms)
    (lost,) = ledger.outbox
    ledger.outbox.clear()
    ledger.table(Alarm(), felt.now_ms + 3_000)
    ledger.stake(ALICE, 100, 101)
    ledger.stake(BOB, 100)
    ledger.settle()
    ledger.table(Alarm(), felt.now_ms + 5_000)
    felt.restart()
    ledger.table(Wake(), felt.now_ms + 10)
    ledger.settle()
    while felt.state.rounds < 3:
        ledger.table(Alarm(), felt.now_ms + 3_000)
        ledger.settle()
    ledger.stake(ALICE, 700)
    ledger.settle()
    ledger.stake(BOB, 800, 300)
    ledger.outbox.append(lost)
    return ledger


async def store(dsn: str, ledger: CrashLedger) -> None:
    """Write it all, and the chain whose hashes the rounds have."""
    vault = Vault(KEY)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "insert into crash_chains (id, table_id, length, terminal_hash, public_seed,"
            " created_at_ms, fixed_at_ms) overriding system value values (1, 1, $1, $2, $3, 0, 1)",
            ledger.chain.length,
            terminal_of(ledger),
            ledger.chain.public_seed,
        )
        for position, link in ledger.chain.links.items():
            await connection.execute(
                "insert into crash_chain_links values (1, $1, $2)",
                position,
                vault.seal(link, link_place(1, position)),
            )
        facts = [fact for facts in ledger.facts.values() for fact in facts]
        messages = [(message, 0) for message in ledger.outbox]
        await PostgresWriter(connection, tables(vault)).write([*facts, *ledger.felt.rows], messages)
    finally:
        await connection.close()


def terminal_of(ledger: CrashLedger) -> str:
    """The terminal hash: the one before the first round's."""
    return before(ledger.chain.hash_of(1))
