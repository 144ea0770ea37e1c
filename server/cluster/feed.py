"""The live feed of all nodes: what one keeps of a moment, the others hear."""

import msgspec

from actors.runtime.exchange import Exchange
from protocol.commands.feed import Feed
from server.feed import LiveFeed, Moment

_MOMENT = "feed"
_ASK_LISTS = "feed lists?"
_LISTS = "feed lists"

_decode_moment = msgspec.msgpack.Decoder(Moment).decode
_decode_lists = msgspec.msgpack.Decoder(Feed).decode


class FarFeed:
    """Shares a feed with the other members of the cluster. What is lost on its way stays lost.

    A node that starts, or was away, asks the first that it hears for its lists.
    """

    def __init__(self, exchange: Exchange, feed: LiveFeed) -> None:
        self._exchange = exchange
        self._feed = feed
        self._asks = False
        exchange.listen(_MOMENT, self._heard)
        exchange.listen(_ASK_LISTS, self._asked)
        exchange.listen(_LISTS, self._told)
        exchange.on_joined(self._joined)
        feed.share(self._say)

    def _say(self, moment: Moment) -> None:
        self._exchange.say_all(_MOMENT, moment)

    def _joined(self) -> None:
        self._asks = True

    def _heard(self, sender: str, body: msgspec.Raw) -> None:
        if self._asks:
            self._asks = not self._exchange.say(sender, _ASK_LISTS, None)
        self._feed.heard(_decode_moment(body))

    def _asked(self, sender: str, _body: msgspec.Raw) -> None:
        self._exchange.say(sender, _LISTS, self._feed.shown())

    def _told(self, _sender: str, body: msgspec.Raw) -> None:
        self._feed.join_lists(_decode_lists(body))
