"""Watching the live feed."""

from protocol.commands.feed import FeedWatching, GetFeed, UnwatchFeed, WatchFeed
from protocol.errors import MALFORMED, Failure
from server.caller import Caller
from server.feed import ROOM, LiveFeed
from server.reply import Answer
from server.router import Handler


class FeedCommands:
    """Handlers of `feed:*`."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed

    def handlers(self, _work: object) -> dict[str, Handler]:
        """All of them, by name."""
        return {
            "feed:state": self._state,
            "feed:watch": self._watch,
            "feed:unwatch": self._unwatch,
        }

    def _state(self, _caller: Caller, _command: GetFeed, answer: Answer) -> None:
        answer.resolve(self._feed.shown())

    def _watch(self, caller: Caller, _command: WatchFeed, answer: Answer) -> None:
        if caller.socket is None:
            answer.reject(Failure(MALFORMED, reason="Only an open socket can watch."))
            return
        try:
            caller.socket.join(ROOM)
        except Failure as failure:
            answer.reject(failure)
        else:
            answer.resolve(self._feed.shown())

    def _unwatch(self, caller: Caller, _command: UnwatchFeed, answer: Answer) -> None:
        if caller.socket is not None:
            caller.socket.leave(ROOM)
        answer.resolve(FeedWatching(watching=False))
