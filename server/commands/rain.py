"""Rain on its way to the sender's wallet, with those it is to fall on."""

from typing import Final

from actors.runtime.node import Node
from actors.wallet import commands
from actors.wallet.rain import MAX_RECEIVERS
from actors.wallet.rules import WALLET
from protocol.commands.rain import StartRain
from protocol.errors import NOT_FOUND, Failure
from server.activity import Activity
from server.budget import Budgets, Clock
from server.caller import Caller
from server.cluster.activity import FarActivity
from server.reply import Answer
from server.router import Handler
from server.work import Work

# A rain tells everybody in a room, and is up to fifty rows and as many again of who receives:
# one in ten seconds for each player, and a few at once. More: `rate_limited`.
RAINS_PER_SECOND: Final = 0.1
RAINS_AT_ONCE: Final = 3
# All rains of a room, whoever asks: each looks for those who are active, for half a millisecond.
# More: `rate_limited` as well, and the player's own budget is as it was.
ROOM_RAINS_PER_SECOND: Final = 5
ROOM_RAINS_AT_ONCE: Final = 20
# Rooms of one player alone.
_PRIVATE: Final = "user:"


class RainCommands:
    """The handler of `rain:start`. In a cluster, those who are active on any node are counted."""

    def __init__(
        self,
        node: Node,
        activity: Activity,
        clock_s: Clock,
        everywhere: FarActivity | None = None,
    ) -> None:
        self._node = node
        self._activity = activity
        self._everywhere = everywhere
        self._budgets = Budgets(RAINS_PER_SECOND, RAINS_AT_ONCE, clock_s)
        self._rooms = Budgets(ROOM_RAINS_PER_SECOND, ROOM_RAINS_AT_ONCE, clock_s)
        self._clock_s = clock_s

    def handlers(self, work: Work) -> dict[str, Handler]:
        """All of them, by name."""
        everywhere = self._everywhere
        if everywhere is None:
            return {"rain:start": self._start}

        async def start(caller: Caller, command: StartRain, answer: Answer) -> None:
            self._admit(caller, command)
            # Also where nobody is there: the wallet knows whether this request was made before.
            to = await everywhere.active(
                command.room, command.minutes * 60, MAX_RECEIVERS, without=caller.user_id
            )
            self._send(caller, command, to, answer)

        return {"rain:start": work.preparing(start)}

    def _start(self, caller: Caller, command: StartRain, answer: Answer) -> None:
        try:
            self._admit(caller, command)
        except Failure as failure:
            answer.reject(failure)
            return
        to = self._activity.active(
            command.room, command.minutes * 60, MAX_RECEIVERS, without=caller.user_id
        )
        self._send(caller, command, to, answer)

    def _admit(self, caller: Caller, command: StartRain) -> None:
        """Raise the Failure of who may not let it rain there now, if they may not."""
        self._take(caller.user_id, command.room)
        if command.room.startswith(_PRIVATE):
            raise Failure(NOT_FOUND, room=command.room)

    def _send(
        self, caller: Caller, command: StartRain, to: tuple[int, ...], answer: Answer
    ) -> None:
        assert caller.identity is not None
        start = commands.StartRain(
            to,
            command.room,
            command.minutes,
            caller.identity.username,
            command.currency,
            command.amount,
            command.request_id,
        )
        self._node.send(WALLET, caller.user_id, start, answer)

    def _take(self, user_id: int, room: str) -> None:
        """Take from the player's budget and from the room's, or raise `rate_limited`."""
        now_s = self._clock_s()
        own = self._budgets.of(user_id)
        own.take(1, now_s)
        try:
            self._rooms.of(room).take(1, now_s)
        except Failure:
            own.put_back(1)
            raise
