"""What an acknowledged bet is worth when something ends at once, by contender."""

from typing import Final, NamedTuple

from benchmarks.contenders import NODE, NODE_SYNCED, ONE_BY_ONE, PITBOSS, PYTHON_SOCKETIO


class Promise(NamedTuple):
    """When a bet is acknowledged, and what becomes of those bets on the loss of each part."""

    acknowledged: str
    process: str
    redis: str
    machine: str


_COMMITTED: Final = "its row is synced to disk"
_NOTHING: Final = "nothing is lost"
_NEWEST: Final = "the newest bets (100 ms of them, and what is being written)"
_UNWRITTEN: Final = (
    f"{_NEWEST} never get their rows, though balances have changed; for a day they could be made"
    " by hand of what Redis remembers"
)
_FORGOTTEN: Final = (
    "every balance, nonce and request id is gone, to be made anew from the rows once all are"
    " written; until then a retry is a second bet"
)
_VANISHED: Final = (
    f"every balance, nonce and request id is gone; {_NEWEST} have vanished without a trace, though"
    " they were acknowledged"
)
_IN_MEMORY: Final = Promise("Redis has it in memory", _UNWRITTEN, _FORGOTTEN, _VANISHED)
_IN_POSTGRESQL: Final = Promise(_COMMITTED, _NOTHING, "has none", _NOTHING)

PROMISES: Final = {
    PITBOSS: _IN_POSTGRESQL,
    NODE: _IN_MEMORY,
    NODE_SYNCED: Promise(
        "its balance is synced to disk, its row is not",
        _UNWRITTEN,
        "nothing is lost, once it has read its file again",
        f"balances are right; {_UNWRITTEN}",
    ),
    PYTHON_SOCKETIO: _IN_MEMORY,
    ONE_BY_ONE: _IN_POSTGRESQL,
}
