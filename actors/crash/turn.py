"""One decision of a crash table: brings the round up to a moment, then does what was asked.

Whatever is decided, the round is first advanced to the time of the decision. So a late timer pays
nobody above the bust, and a cash-out counts by the moment it arrived at.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import msgspec

from actors.crash import facts, odds
from actors.crash.facts import RoundEntry
from actors.crash.state import Bet, Round, TableState
from actors.decision import Announcement, Context, Decision, Item, Message, Notice
from actors.wallet.commands import ReleaseHold, SettleHold
from actors.wallet.rules import WALLET
from protocol.commands.crash import (
    CashedOutItem,
    LeftItem,
    RoundCrashed,
    RoundForced,
    RoundOpened,
    RoundStarted,
    RoundTicked,
    RoundVoided,
    round_id,
)
from protocol.ids import table_message_id

# Bets that are ended in one commit: a millisecond or two. The next ones follow at once, so that a
# round of thousands holds nobody up.
ENDED_TOGETHER: Final = 200
MANUAL: Final = "manual"
AUTOMATIC: Final = "auto"
MOST_OF_BET: Final = "most_of_bet"
MOST_OF_ROUND: Final = "most_of_round"
RESTARTED: Final = "restarted"


class Outcome(msgspec.Struct, frozen=True):
    """How a bet ended, as it stands in the row that ends its hold."""

    round_id: str
    ended: str
    multiplier: int | None = None
    reason: str | None = None


_encode = msgspec.json.Encoder().encode


class Turn:
    """The facts of a decision as they are made, and the sums that later ones of them rest on.

    The state itself is not changed: it changes when the facts are applied.
    """

    def __init__(self, state: TableState, context: Context, *, paused: bool) -> None:
        self.state = state
        self.now_ms = context.now_ms
        self.facts: list[RoundEntry] = []
        self.pushes: list[Announcement] = []
        self.messages: list[Message] = []
        self.paused = paused
        current = state.round
        self.round = current
        self._open_minor = current.open_minor if current else 0
        self._won_minor = current.won_minor if current else 0
        self._paid_minor = current.paid_minor if current else 0
        self._open_bets = current.open_bets if current else 0
        self._ended: dict[int, RoundEntry] = {}
        self._started_at_ms = current.started_at_ms if current else None
        self._over = current is None or current.ended_at_ms is not None
        self._opened: RoundEntry | None = None
        # The multiplier up to which bets are due, in a round that was running when this began.
        self._limit = 0
        # Whether some of them are left for the decision that follows at once.
        self.behind = False
        self._forced = current.forced if current else None

    # What the round has come to, the facts of this decision included.

    @property
    def betting(self) -> bool:
        """Whether the newest round takes bets now."""
        return self._opened is not None or (not self._over and self._started_at_ms is None)

    @property
    def running(self) -> bool:
        """Whether the multiplier rises now."""
        return not self._over and self._started_at_ms is not None

    @property
    def number(self) -> int:
        """The number of the newest round, one that this decision opens included."""
        return self._opened.round if self._opened else self.state.rounds

    @property
    def multiplier(self) -> int:
        """The multiplier now, of a round that is running; it ends at the bust."""
        assert self.round is not None
        assert self._started_at_ms is not None
        return min(odds.multiplier_at(self.now_ms - self._started_at_ms), self.round.bust)

    def ended_by(self, bet: Bet) -> str | None:
        """How a bet has ended, by a row that stands or by this decision."""
        made = self._ended.get(bet.wallet_id)
        return made.kind if made else bet.ended

    def end_of(self, bet: Bet) -> tuple[int | None, int | None]:
        """The multiplier and the payout of a bet, as far as it has them."""
        made = self._ended.get(bet.wallet_id) or bet
        return made.multiplier, made.payout_minor

    @property
    def current(self) -> Round | None:
        """The newest round; None if this decision has just opened another."""
        return None if self._opened is not None else self.round

    def has(self, wallet_id: int, hold: int) -> bool:
        """Whether this very bet is in the newest round, however long ago it joined."""
        bet = self.current.bets.get(wallet_id) if self.current else None
        return bet is not None and bet.hold == hold

    @property
    def newest_hash(self) -> str | None:
        """The hash of the newest round, for nobody to see before it is over."""
        if self._opened is not None:
            return self.state.hash_at(self._opened)
        return self.round.hash if self.round else None

    @property
    def chain_id(self) -> int | None:
        """The chain that the newest round is from."""
        return self._opened.chain_id if self._opened else self.state.position[0]

    @property
    def rests(self) -> bool:
        """Whether a round is over, and it is not yet time for the next."""
        return self._over and self.current is not None and self.now_ms < self._next_at_ms

    @property
    def lacks_chain(self) -> bool:
        """Whether nothing but a chain of hashes is missing for the next round."""
        between_rounds = self._over and not self._open_bets and not self.rests
        return between_rounds and not self.paused and self._opened is None

    @property
    def voided(self) -> bool:
        """Whether the newest round was voided."""
        return self.round is not None and (self.round.voided or self.state.interrupted)

    @property
    def started_at_ms(self) -> int | None:
        """When the multiplier began to rise."""
        return None if self._opened is not None else self._started_at_ms

    @property
    def deadline_ms(self) -> int | None:
        """When this phase ends; None where only the bust, or an operator, will tell."""
        if self._opened is not None:
            return self.now_ms + self.state.table.betting_ms
        if self.betting:
            return self._closes_at_ms
        return self._next_at_ms if self.rests else None

    # Advancing.

    def advance(self) -> None:
        """Do all that is due by now."""
        if self.state.interrupted and self._forced is None:
            self._void()
        if not self._over and self.betting and self.now_ms >= self._closes_at_ms:
            self._start()
        if self.running:
            self._rise()
        if self._over and self._open_bets:
            self._end_some()
        if self._over and not self._open_bets:
            self._open_next()

    @property
    def _closes_at_ms(self) -> int:
        assert self.round is not None
        return self.round.opened_at_ms + self.state.table.betting_ms

    def _start(self) -> None:
        assert self.round is not None
        self.note(facts.STARTED)
        self._started_at_ms = self.now_ms
        started = RoundStarted(round_id=self._round_id, at_ms=self.now_ms)
        self._announce("round:started", started, urgent=True)

    def _rise(self) -> None:
        """Pay what has been reached by now, and crash if that is due."""
        current = self.round
        assert current is not None
        assert self._started_at_ms is not None
        self._limit = current.bust if self.busts else self.multiplier
        if self._forced is None:
            self._find_forced_point()
        for bet in self._upcoming():
            if not self._is_due(bet):
                break
            if len(self._ended) >= ENDED_TOGETHER:
                self.behind = True
                return
            self._pay(bet)
        if self.busts:
            self._crash()

    @property
    def busts(self) -> bool:
        """Whether the round, which is running, is to end now."""
        assert self.round is not None
        assert self._started_at_ms is not None
        return self.now_ms >= self._started_at_ms + self.round.bust_ms

    def _is_due(self, bet: Bet) -> bool:
        """Whether a bet is to be cashed out by now; all are once the round won what it may."""
        return self._forced is not None or bet.target <= self._limit

    def pay_if_due(self, bet: Bet) -> None:
        """Cash a bet out whose turn would come in one of the decisions that follow."""
        if self.behind and self.ended_by(bet) is None and self._is_due(bet):
            self._pay(bet)

    def _pay(self, bet: Bet) -> None:
        """Cash out a bet that is due: at its own target, or where everybody is cashed out."""
        if self._forced is not None and self._forced < bet.target:
            self.cash_out(bet, self._forced, MOST_OF_ROUND)
        else:
            at_wish = bet.target == bet.auto_cashout
            self.cash_out(bet, bet.target, AUTOMATIC if at_wish else MOST_OF_BET)

    def _find_forced_point(self) -> None:
        """Note where everybody is cashed out, if paying what is due would pass the bound.

        What is due is gone through by target without being paid, as that may take many decisions.
        """
        open_minor, won_minor = self._open_minor, self._won_minor
        for bet in self._upcoming():
            forced = self._forced_point(open_minor, won_minor)
            if forced < min(bet.target, self._limit + 1):
                self._force(forced)
                return
            if bet.target > self._limit:
                return
            won_minor += bet.stake_minor * bet.target // 100 - bet.stake_minor
            open_minor -= bet.stake_minor

    def _upcoming(self) -> Iterable[Bet]:
        """The bets that are open, by target. A round that this decision starts has no order yet."""
        current = self.round
        assert current is not None
        targets = current.targets
        if current.started_at_ms is None:
            targets = sorted(current.bets.values(), key=lambda bet: bet.target)
        for bet in islice(targets, current.next_target, None):
            if self.ended_by(bet) is None:
                yield bet

    def _forced_point(self, open_minor: int, won_minor: int) -> int:
        """The highest multiplier at which all stakes that are open may be cashed out."""
        left_minor = self.state.table.most_round_profit_minor - won_minor
        return max(odds.LEAST_MULTIPLIER, 100 + 100 * left_minor // open_minor)

    def _force(self, multiplier: int) -> None:
        self.note(facts.FORCED, multiplier=multiplier)
        self._forced = multiplier
        forced = RoundForced(round_id=self._round_id, at_ms=self.now_ms, multiplier=multiplier)
        self._announce("round:forced", forced)

    def _crash(self) -> None:
        self._finish(facts.CRASHED)
        crashed = RoundCrashed(**self._last_words())
        self._announce("round:crashed", crashed, urgent=True)

    def _void(self) -> None:
        """The written rule for a round that was interrupted.

        Cash-outs that are committed stand. All bets that are still open are refunded, whatever the
        bust: nobody could cash out meanwhile, and who were paid where they would have won, but
        never lost, would have had a free throw at each restart.

        Only a round whose bound was reached goes on instead: its row has decided what everybody
        gets, and that is paid.
        """
        self._finish(facts.VOIDED, reason=RESTARTED)
        self._announce("round:voided", RoundVoided(**self._last_words()), urgent=True)

    def _finish(self, kind: str, reason: str | None = None) -> None:
        current = self.round
        assert current is not None
        self.note(
            kind,
            stake_minor=current.staked_minor,
            payout_minor=self._paid_minor,
            multiplier=current.bust,
            bets=len(current.bets),
            chain_id=current.chain_id,
            position=current.position,
            hash=current.hash,
            reason=reason,
        )
        self._over = True

    def _last_words(self) -> dict[str, Any]:
        current = self.round
        assert current is not None
        return {
            "round_id": self._round_id,
            "at_ms": self.now_ms,
            "bust": current.bust,
            "hash": current.hash,
            "deadline_ms": self.now_ms + self.state.table.pause_ms,
        }

    def _end_some(self) -> None:
        """End some of the bets that a round has left open: lost, or refunded if it was voided."""
        current = self.round
        assert current is not None
        voided = self.state.interrupted or current.voided
        left = (bet for bet in current.bets.values() if self.ended_by(bet) is None)
        for bet in islice(left, ENDED_TOGETHER):
            if voided:
                self._end(bet, facts.REFUNDED, None, None, RESTARTED)
            else:
                self._end(bet, facts.LOST, None, 0, None)

    def _open_next(self) -> None:
        current, state = self.round, self.state
        if self.paused or (current is not None and self.now_ms < self._next_at_ms):
            return
        following = state.next_position()
        if following is None:
            return
        chain, position = following
        self._opened = self.note(
            facts.OPENED,
            number=state.rounds + 1,
            multiplier=state.table.most_multiplier,
            edge_percent=state.table.edge_percent,
            chain_id=chain.chain_id,
            position=position,
        )
        opened = RoundOpened(
            round_id=round_id(state.table.number, self._opened.round),
            at_ms=self.now_ms,
            deadline_ms=self.now_ms + state.table.betting_ms,
        )
        self._announce("round:opened", opened)

    @property
    def _next_at_ms(self) -> int:
        """When the round after this one, which is over, opens at the earliest."""
        assert self.round is not None
        ended_at_ms = self.round.ended_at_ms
        return (self.now_ms if ended_at_ms is None else ended_at_ms) + self.state.table.pause_ms

    # Bets.

    def cash_out(self, bet: Bet, multiplier: int, reason: str) -> int:
        """Cash a bet out, and return its payout."""
        payout_minor = bet.stake_minor * multiplier // 100
        self._end(bet, facts.CASHED_OUT, multiplier, payout_minor, reason)
        self._won_minor += payout_minor - bet.stake_minor
        self._paid_minor += payout_minor
        item = CashedOutItem(
            round_id=self._round_id,
            player=bet.player,
            multiplier=multiplier,
            payout=payout_minor,
        )
        self.pushes.append(Item(self.state.room, "player:cashed_out", item))
        return payout_minor

    def leave(self, bet: Bet) -> None:
        """Take a bet out of a round that has not started."""
        made = self._end(bet, facts.LEFT, None, None, "cancelled")
        item = LeftItem(round_id=self._round_id, player=bet.player, seq=made.seq)
        self.pushes.append(Item(self.state.room, "bet:left", item))

    def _end(
        self,
        bet: Bet,
        kind: str,
        multiplier: int | None,
        payout_minor: int | None,
        reason: str | None,
    ) -> RoundEntry:
        made = self.note(
            kind,
            wallet_id=bet.wallet_id,
            hold=bet.hold,
            multiplier=multiplier,
            payout_minor=payout_minor,
            reason=reason,
        )
        self._ended[bet.wallet_id] = made
        self._open_minor -= bet.stake_minor
        self._open_bets -= 1
        self.tell_wallet(made, Outcome(self._round_id, kind, multiplier, reason))
        return made

    def tell_wallet(self, made: RoundEntry, outcome: Outcome) -> None:
        """Send the wallet how its hold ends."""
        assert made.wallet_id is not None
        assert made.hold is not None
        text = _encode(outcome).decode()
        body = (
            ReleaseHold(made.hold, text)
            if made.payout_minor is None
            else SettleHold(made.hold, made.payout_minor, text)
        )
        message_id = table_message_id(made.table, made.seq)
        self.messages.append(Message(message_id, WALLET, made.wallet_id, body))

    # Rows and words.

    @property
    def _round_id(self) -> str:
        return round_id(self.state.table.number, self.state.rounds)

    def note(self, kind: str, *, number: int | None = None, **fields: Any) -> RoundEntry:
        """Make the next row, of the newest round unless another number is given."""
        state = self.state
        made = RoundEntry(
            state.table.number,
            state.seq + len(self.facts) + 1,
            state.rounds if number is None else number,
            kind,
            self.now_ms,
            **fields,
        )
        self.facts.append(made)
        return made

    def _announce(self, event: str, data: Any, *, urgent: bool = False) -> None:
        self.pushes.append(Notice(self.state.room, event, data, urgent=urgent))

    def tick(self) -> None:
        """Tell the room how far the multiplier is, if it rises."""
        if self.running and not self.busts:
            assert self._started_at_ms is not None
            ticked = RoundTicked(
                round_id=self._round_id,
                at_ms=self.now_ms,
                elapsed_ms=self.now_ms - self._started_at_ms,
                multiplier=self.multiplier,
            )
            self.pushes.append(Notice(self.state.room, "round:ticked", ticked, volatile=True))

    def decision(self, reply: Any) -> Decision:
        """All of it, and when the table wants to be called next."""
        return Decision(
            reply,
            tuple(self.facts),
            tuple(self.pushes),
            tuple(self.messages),
            self._alarm_ms(),
        )

    def _alarm_ms(self) -> int:
        """When something is due next; 0 for nothing that is known."""
        table, current = self.state.table, self.round
        if self.behind:
            return self.now_ms
        if self._opened is None and self.running:
            assert current is not None
            assert self._started_at_ms is not None
            # By the start, not by this decision: else many of them would put it off for ever.
            ticks = (self.now_ms - self._started_at_ms) // table.tick_ms + 1
            return self._started_at_ms + min(ticks * table.tick_ms, current.bust_ms)
        if self._over and self._open_bets:
            return self.now_ms
        # Past it there is nothing to wait for by the clock: it is woken when that may have changed.
        return self.deadline_ms or 0
