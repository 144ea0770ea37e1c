"""What each field's name means, and an example of it.

The wire uses one word for one thing, so that most names need one line here. Where a name means
something else in one place, `Type.name` or `command.name` stands beside it. A catalogue type's own
description comes first; a test names every field that has neither.

The examples tell one story: player 7 stakes 10.00 USD on a roll under 50.50 with nonce 13, and
everything about that bet, its hash and its payout included, is what the server would compute.
"""

from typing import Final

from actors import fairness
from protocol.errors import INSUFFICIENT_BALANCE, Failure, body
from server.documents.crash_words import CRASH_WORDS
from server.documents.floor_words import FLOOR_WORDS
from server.documents.limits_words import LIMITS_WORDS
from server.documents.word import EXAMPLE_FROM_TYPE, Word

SERVER_SEED: Final = "b7c1f8a2e94d03565f1ed0a7c83b92d4617e0c5fa9384bd2e6715f0c8d3a9e42"
SERVER_SEED_HASH: Final = fairness.seed_hash(SERVER_SEED)
CLIENT_SEED: Final = "sevenleafclover"
NONCE: Final = 13
ROLL: Final = 2162
# What limbo and plinko would have made of that bet.
LIMBO_TARGET: Final = 196
LIMBO_RESULT: Final = 457
PLINKO_ROWS: Final = 15
PLINKO_RISK: Final = "medium"
PLINKO_BUCKET: Final = 5
PLINKO_MULTIPLIER: Final = 130
# And mines: where they would have lain, and two picks with what each made the stake worth.
MINED: Final = (5, 8, 21)
PICKED: Final = (12, 0)
MINES_MULTIPLIERS: Final = (112, 128)
MINES_PAYOUTS: Final = (1_125, 1_285)

_BALANCE: Final = {"currency": "USD", "available": 100_960, "held": 0, "seq": 42}
_DICE_RESULT: Final = {
    "game": "dice",
    "bet_id": "7-42",
    "roll": ROLL,
    "won": True,
    "target": 5050,
    "direction": "under",
    "currency": "USD",
    "stake": 1_000,
    "payout": 1_960,
    "pair": 3,
    "nonce": NONCE,
    "balance": _BALANCE,
}
_NEW_PAIR: Final = {
    "pair": 4,
    "server_seed_hash": fairness.seed_hash("the one that comes next"),
    "client_seed": CLIENT_SEED,
    "nonce": 0,
}
_TOO_POOR: Final = body(Failure(INSUFFICIENT_BALANCE, available=100_960))

_TILES: Final = "The tiles picked, in order; after a mine, that is the last of them."
_WORTH: Final = "What a cash-out gives now, or gave, in hundredths, rounded down; 0 for nothing."
_PAYS: Final = "What a cash-out pays now, or paid, in minor units; 0 for nothing."
_WITH_STAKE_HELD: Final = {"currency": "USD", "available": 99_000, "held": 1_000, "seq": 43}

# The game after its start, after one pick, and cashed out after two.
_MINES_WORDS: Final = {
    "MinesGame.revealed": Word(_TILES, PICKED[:1]),
    "MinesGame.multiplier": Word(_WORTH, MINES_MULTIPLIERS[0]),
    "MinesGame.payout": Word(_PAYS, MINES_PAYOUTS[0]),
    "MinesStarted.revealed": Word(_TILES, []),
    "MinesStarted.multiplier": Word(_WORTH, 0),
    "MinesStarted.next_multiplier": Word(
        "What the first safe tile makes of it.", MINES_MULTIPLIERS[0]
    ),
    "MinesStarted.payout": Word(_PAYS, 0),
    "MinesStarted.balance": Word("What stands afterwards.", {**_WITH_STAKE_HELD, "seq": 42}),
    "MinesPlayed.revealed": Word(_TILES, PICKED[:1]),
    "MinesPlayed.multiplier": Word(_WORTH, MINES_MULTIPLIERS[0]),
    "MinesPlayed.payout": Word(_PAYS, MINES_PAYOUTS[0]),
    "MinesPlayed.balance": Word("What stands afterwards.", _WITH_STAKE_HELD),
    "mines:cashout.revealed": Word(None, PICKED),
    "mines:cashout.multiplier": Word(None, MINES_MULTIPLIERS[1]),
    "mines:cashout.next_multiplier": Word(None, None),
    "mines:cashout.payout": Word(None, MINES_PAYOUTS[1]),
    "mines:cashout.ended": Word(None, "cashout"),
    "mines:cashout.mined": Word(None, MINED),
    "mines:cashout.balance": Word(
        None, {"currency": "USD", "available": 100_285, "held": 0, "seq": 45}
    ),
}

WORDS: Final[dict[str, Word]] = {
    # Who.
    "email": Word("The e-mail address.", "ada@example.com"),
    "username": Word("The name other players see.", "ada"),
    "password": Word("The password, as typed.", "correct horse battery"),
    "login": Word("The username or the e-mail address.", "ada"),
    "token": Word("An access token, newer than the socket's.", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"),
    "access_token": Word(
        "Goes with every request, and with the connection of a socket.",
        "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
    ),
    "refresh_token": Word(
        "Trades for the next pair, once.", "Zk0c3m1v8mJXq3mYB1n2k4m5l6p7q8r9s0t1u2v3w4x"
    ),
    "expires_in": Word("Seconds until the access token ends.", 900),
    "TokenExpiring.expires_in": Word("Seconds until the access token ends.", 59),
    "retry_after_ms": Word("Milliseconds within which to connect again.", 1_000),
    "user": Word("Whom the tokens speak for.", EXAMPLE_FROM_TYPE),
    "id": Word("The user's number.", 7),
    "role": Word(None, "player"),
    "guest": Word("Whether the account has no way to log in again.", False),
    "user_id": Word(None, 7),
    "to": Word("The receiver's username, in any case.", "grace"),
    # Money.
    "currency": Word("A currency code.", "USD"),
    "amount": Word("How much, in minor units of the currency.", 500),
    "Moved.amount": Word("How much was moved, in minor units.", 500),
    "available": Word("Free to use, in minor units.", 100_960),
    "held": Word("Set aside for open bets, in minor units.", 0),
    "balance": Word("What stands afterwards.", _BALANCE),
    "balances": Word("One for each currency that the wallet ever held.", [_BALANCE]),
    "wallet_id": Word("The wallet's number, which is its user's.", 7),
    "seq": Word("The number of the ledger entry; a wallet's entries have no gaps.", 42),
    "BalanceOf.seq": Word("The number of the ledger entry that this balance stands after.", 42),
    "WalletUpdated.seq": Word("Newer balances have higher numbers; ignore older ones.", 42),
    "Wallet.seq": Word("The number of the wallet's newest ledger entry.", 42),
    "kind": Word("What the entry is: `bet`, `deposit`, `tip_sent`, ...", "bet"),
    "wallet:tip.kind": Word(None, "tip_sent"),
    "wallet:deposit.kind": Word(None, "deposit"),
    "wallet:withdraw.kind": Word(None, "withdrawal"),
    "wallet:faucet.kind": Word(None, "faucet"),
    "available_delta": Word("What was added to the available balance; negative if taken.", 960),
    "held_delta": Word("What was added to the held balance; negative if taken.", 0),
    "available_after": Word("The available balance after this entry.", 100_960),
    "held_after": Word("The held balance after this entry.", 0),
    "counterparty": Word("The other user of a transfer, null for none.", None),
    "request_id": Word("The client's id of the request.", "5b0f7a3e-1f0d-4c55-9d7e-0c1a2b3c4d5e"),
    "at_ms": Word("When, in milliseconds since 1970 (UTC).", 1_767_225_600_000),
    "entries": Word("Newest first.", EXAMPLE_FROM_TYPE),
    "before": Word("Only what is older than this number.", 43),
    "limit": Word(None, 50),
    "next_before": Word("`before` for the following page; only null is the end.", None),
    # Bets.
    "bets": Word("The bets, in the order in which they are to be placed.", EXAMPLE_FROM_TYPE),
    "BetHistory.bets": Word("Newest first.", EXAMPLE_FROM_TYPE),
    "bet_id": Word("The bet's id: its wallet and the number of its ledger entry.", "7-42"),
    "HistoryEntry.bet_id": Word("The id of the bet, null for other kinds.", "7-42"),
    "game": Word("Which game.", "dice"),
    "stake": Word("What is bet, in minor units.", 1_000),
    "payout": Word("What comes back, the stake included, in minor units; 0 for a loss.", 1_960),
    "target": Word("In hundredths.", 5050),
    "limbo:play.target": Word(None, LIMBO_TARGET),
    "result": Word("What was drawn, in hundredths: 457 is 4.57.", LIMBO_RESULT),
    "rows": Word("Rows of pins.", PLINKO_ROWS),
    "risk": Word("How far the multipliers are spread.", PLINKO_RISK),
    "bucket": Word("Where the ball fell: how often it turned right.", PLINKO_BUCKET),
    "multiplier": Word("What its bucket pays, in hundredths.", PLINKO_MULTIPLIER),
    "PlinkoResult.payout": Word("What comes back, in minor units.", 1_300),
    "PlinkoResult.balance": Word("What stands afterwards.", {**_BALANCE, "available": 100_300}),
    "mines": Word("How many of the 25 tiles are mined.", len(MINED)),
    "tile": Word(None, PICKED[0]),
    "next_multiplier": Word(
        "What one more safe tile makes of it, null once the game has ended.", MINES_MULTIPLIERS[1]
    ),
    "ended": Word("How the game ended, null while it is open.", None),
    "mined": Word("The mined tiles in ascending order, null while the game is open.", None),
    "games": Word("One for each currency at most.", EXAMPLE_FROM_TYPE),
    **_MINES_WORDS,
    **CRASH_WORDS,
    **LIMITS_WORDS,
    **FLOOR_WORDS,
    "direction": Word(None, "under"),
    "roll": Word("What was rolled, in hundredths: 2162 is 21.62.", ROLL),
    "won": Word("Whether the bet won.", True),
    "parameters": Word("What the player chose, by game.", {"target": 5050, "direction": "under"}),
    "outcome": Word("What came of it, by game.", {"roll": ROLL, "won": True}),
    "results": Word(
        "One for each bet.",
        [
            {"success": True, "data": _DICE_RESULT, "error": None},
            {"success": False, "data": None, "error": _TOO_POOR},
        ],
    ),
    "success": Word("Whether it was done.", True),
    "data": Word("The result, null for a refused bet.", _DICE_RESULT),
    "error": Word("Why it was refused, null for a bet that was placed.", None),
    # Seeds.
    "pair": Word("The number of the seed pair.", 3),
    "nonce": Word("How many bets the pair had before this one.", NONCE),
    "CurrentSeed.nonce": Word("The nonce of the next bet.", NONCE + 1),
    "next_nonce": Word("All smaller nonces were used.", NONCE + 1),
    "client_seed": Word("The player's part of the pair.", CLIENT_SEED),
    "server_seed": Word("The server's part of the pair.", SERVER_SEED),
    "BetRecord.state": Word("How far the bet is.", "settled"),
    "BetRecord.payout": Word(
        "What came back, the stake included, in minor units; null unless it is settled.", 1_960
    ),
    "BetRecord.outcome": Word(
        "What came of it, by game, null while it is open.", {"roll": ROLL, "won": True}
    ),
    "BetRecord.server_seed": Word(
        "The server's part of the pair, null until it is rotated out.", SERVER_SEED
    ),
    "server_seed_hash": Word(
        "The SHA-256 of the server seed, known before the bet.", SERVER_SEED_HASH
    ),
    "revealed": Word("The pair that was in use, null if there was none.", EXAMPLE_FROM_TYPE),
    "current": Word("The pair in use now.", _NEW_PAIR),
    # The node.
    "started_at_ms": Word(
        "When this node started, in milliseconds since 1970 (UTC).", 1_767_225_600_000
    ),
    "Stats.connections": Word("Open now, by transport.", {"polling": 12, "websocket": 3_400}),
    "Stats.sockets": Word("Joined now, by namespace.", {"/": 3_405}),
    "sockets_awaited": Word("Sockets whose connection is lost, and may come back.", 7),
    "Stats.rooms": Word("Rooms with anyone inside.", 3_310),
    "handshakes_waiting": Word("Handshakes that wait for their turn.", 0),
    "disconnects": Word("Ends since the start, by reason.", {"transport_closed": 812}),
    "handshakes_refused": Word(
        "Connections and handshakes refused since the start, by error.", {"overloaded": 3}
    ),
    "connects_refused": Word(
        "Attempts to join refused since the start, by error.", {"token_expired": 41}
    ),
    "recoveries": Word(
        "Attempts to come back since the start: `recovered`, `recovered_elsewhere` (after having "
        "been at another node), `unknown`, or `forgotten` (too much was missed).",
        {"recovered": 96, "forgotten": 2},
    ),
    "last_second": Word("The newest sample; one is taken every second.", EXAMPLE_FROM_TYPE),
    "last_minute": Word("The newest 60 samples, or those there are.", EXAMPLE_FROM_TYPE),
    "seconds": Word("How long a time this is about; 0 before the first sample.", 1.0),
    "packets_in_per_second": Word("Packets from clients.", 5_210.0),
    "packets_out_per_second": Word("Packets to clients.", 5_630.0),
    "bytes_in_per_second": Word("Bytes of packets from clients.", 812_400.0),
    "bytes_out_per_second": Word("Bytes on the wire to clients.", 1_533_000.0),
    "opened_per_second": Word("Connections that were opened.", 2.0),
    "ended_per_second": Word("Connections that ended.", 1.0),
    "commands_per_second": Word("Commands answered, refusals included.", 5_010.0),
    "bets_per_second": Word("Bets answered with a result, alone or in batches.", 4_980.0),
    "loop_lag_ms": Word("How late the event loop was at worst, in milliseconds.", 3.5),
    "address": Word("The address that limits count, behind trusted proxies.", "203.0.113.9"),
    "room": Word("The room's name.", "user:7"),
    "GetConnections.room": Word("Only those inside this room.", "user:7"),
    "GetConnections.transport": Word("Only those with this transport now.", "websocket"),
    "GetConnections.user_id": Word("Only this user's.", 7),
    "ConnectionEntry.transport": Word(None, "websocket"),
    "ConnectionEntry.number": Word("Newer connections of this node have higher numbers.", 4_211),
    "connected_at_ms": Word(
        "When it was opened, in milliseconds since 1970 (UTC).", 1_767_225_540_000
    ),
    "packets_counted": Word(
        "Packets that count against the limit of the second that is running. They are counted 64 "
        "at a time.",
        0,
    ),
    "waiting_bytes": Word("Bytes that wait because the client does not take them.", 0),
    "ConnectionEntry.sockets": Word("One for each namespace joined.", EXAMPLE_FROM_TYPE),
    "SocketEntry.id": Word("The socket's id, as its client knows it.", "9fYc0m8xq3mYB1n2k4m5"),
    "namespace": Word("The namespace.", "/"),
    "room_count": Word("How many rooms it is in.", 1),
    "SocketEntry.rooms": Word("The first 16 of its rooms, by name.", ["user:7"]),
    "Connections.connections": Word("Newest first.", EXAMPLE_FROM_TYPE),
    "prefix": Word("Only rooms whose names begin so.", "user:"),
    "RoomEntry.number": Word("Newer rooms of this node have higher numbers.", 3_977),
    "Rooms.rooms": Word("Newest first.", EXAMPLE_FROM_TYPE),
    "members": Word("Sockets inside, those that are awaited included.", 2),
    "members_awaited": Word("Of them, those whose connection is lost, and may come back.", 1),
    # Errors.
    "code": Word("The error's name, for programs.", "insufficient_balance"),
    "number": Word("The error's number, for programs and support.", 3001),
    "message": Word("The error in a sentence, for people.", "The balance does not cover this."),
    "temporary": Word("Whether the same request may succeed later.", False),
    "details": Word("What else a program may need, by error.", {"available": 100_960}),
    "meta": Word("About the answer.", EXAMPLE_FROM_TYPE),
    "Meta.at_ms": Word("The server's clock, in milliseconds since 1970.", 1_767_225_600_123),
}


def find(scopes: tuple[str, ...], field: str) -> Word | None:
    """The word for a field: the narrowest scope that has one, else the bare name's."""
    for scope in scopes:
        word = WORDS.get(f"{scope}.{field}")
        if word is not None:
            return word
    return WORDS.get(field)
