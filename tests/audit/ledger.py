"""A small ledger with some of everything in it, decided by the rules and written by the writer."""

import asyncpg

from actors.decision import Message
from actors.wallet.commands import Adjust, SendTip
from actors.wallet.facts import FAUCET, WITHDRAWAL
from actors.wallet.state import SNAPSHOT_FORMAT
from protocol.bounds import MAX_MINOR
from protocol.commands.seed import RotateSeed, SetClientSeed
from storage.rows import tables
from storage.vault import Vault
from storage.writer import PostgresWriter
from tests.support.wallets import KIND, OPERATOR, Wallets, request, roll

KEY = bytes(range(32))
ALICE, BOB, CAROL, DAVE = 1, 2, 3, 4
# Large enough that a payout shows the house edge to four digits.
STAKE = 1_000_000


class Ledger(Wallets):
    """Wallets whose messages wait in an outbox, as they do between two commits."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox: list[Message] = []
        self._requests = 0

    def do(self, wallet_id: int, *commands: object) -> None:
        """Act, and keep what was sent."""
        for command in commands:
            self.act(wallet_id, command)
            self.outbox += self.sent
            self.sent.clear()

    def bets(self, wallet_id: int, count: int, stake: int = STAKE, currency: str = "PLAY") -> None:
        """Bets over 50.50."""
        bets = (roll(self.next(), stake, currency=currency) for _bet in range(count))
        self.do(wallet_id, *bets)

    def tip(self, to: int, amount_minor: int) -> None:
        """Alice tips somebody."""
        self.do(ALICE, SendTip(to, "PLAY", amount_minor, request(self.next())))

    def arrive(self, *, forgotten: bool = True) -> None:
        """Deliver the newest message; it stays in the outbox if it is not forgotten yet."""
        message = self.outbox.pop() if forgotten else self.outbox[-1]
        self.deliver(message)
        self.outbox += self.sent
        self.sent.clear()

    def next(self) -> int:
        """The number of a new request."""
        self._requests += 1
        return self._requests


def played() -> Ledger:
    """Alice's rows by number: 1 deposit; 2 to 4, 5 to 6, 7 to 8 bets, each on a pair of its own;
    9 deposit and 10 bet in USD; 11 withdrawal; 12 tip to Bob, arrived; 13 tip to Carol, waiting;
    14 tip to Dave, refused and returned as 15; 16 tip to Dave, refused and not returned yet.
    """  # noqa: D205 - a table, not a summary
    ledger = Ledger()
    ledger.fund(ALICE, 100 * STAKE)
    ledger.bets(ALICE, 3)
    ledger.do(ALICE, SetClientSeed("lucky"))
    ledger.bets(ALICE, 2)
    ledger.do(ALICE, RotateSeed())
    ledger.bets(ALICE, 2)
    ledger.fund(ALICE, 5_000, "USD")
    ledger.bets(ALICE, 1, 100, "USD")
    ledger.do(ALICE, Adjust(WITHDRAWAL, "PLAY", 500, OPERATOR, request(ledger.next())))
    ledger.tip(BOB, 300)
    ledger.arrive(forgotten=False)
    ledger.tip(CAROL, 200)
    ledger.fund(DAVE, MAX_MINOR)
    ledger.tip(DAVE, 50)
    ledger.arrive()
    ledger.arrive()
    ledger.tip(DAVE, 60)
    ledger.arrive()
    ledger.do(BOB, Adjust(FAUCET, "PLAY", 1_000, BOB, request(ledger.next())))
    ledger.bets(BOB, 5, 100)
    return ledger


async def store(dsn: str, ledger: Ledger) -> None:
    """Write it all, and a snapshot of each wallet."""
    connection = await asyncpg.connect(dsn)
    try:
        writer = PostgresWriter(connection, tables(Vault(KEY)))
        facts = [fact for facts in ledger.facts.values() for fact in facts]
        await writer.write(facts, [(message, 0) for message in ledger.outbox])
        snapshots = [
            (s.wallet_id, s.seq, KIND.snapshot(s), SNAPSHOT_FORMAT) for s in ledger.states.values()
        ]
        await connection.copy_records_to_table("wallet_snapshots", records=snapshots)
    finally:
        await connection.close()
