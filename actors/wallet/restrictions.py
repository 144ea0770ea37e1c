"""Limits of play and breaks from it: how they are set, and the guards of wagers and deposits.

Nothing here stands in the way of a withdrawal, of a tip that arrives, or of a game that is open.
"""

from itertools import product
from typing import Final

from actors.decision import Context, Decision
from actors.kind import Rule
from actors.wallet import facts
from actors.wallet.facts import RestrictionSet
from actors.wallet.ledger import check_currency
from actors.wallet.limits import (
    FOR_GOOD,
    UNLIMITED,
    UNRESTRICTED,
    Limit,
    Restrictions,
    restricted,
)
from actors.wallet.state import WalletState
from actors.wallet.usage import DAY_MS, next_first_day
from protocol.commands.limits import (
    CoolOff,
    Exclude,
    GetLimits,
    LimitKind,
    PendingLimit,
    Period,
    PlayLimit,
    PlayLimits,
    SetLimit,
)
from protocol.errors import (
    COOLING_OFF,
    DEPOSIT_LIMIT_REACHED,
    LOSS_LIMIT_REACHED,
    SELF_EXCLUDED,
    STAKE_LIMIT_REACHED,
    TOO_MANY_CHANGES,
    Failure,
)
from protocol.money import CURRENCIES

HOUR_MS: Final = 3_600_000
# A higher limit waits so long: a decision made in the heat of play can cool down.
RAISE_AFTER_MS: Final = DAY_MS
# Each change is a row for good, and nobody means to make so many. After so many, limits are not
# raised until the next day, and after twice as many not lowered, nor breaks made longer:
# `too_many_changes`. What stops play is never refused, and bounded as nothing is raised any more:
# limits of 0, a break or an exclusion where none is on.
MAX_CHANGES_A_DAY: Final = 100

_REACHED: Final = {
    LimitKind.STAKE: STAKE_LIMIT_REACHED,
    LimitKind.LOSS: LOSS_LIMIT_REACHED,
    LimitKind.DEPOSIT: DEPOSIT_LIMIT_REACHED,
}


def check_wager(state: WalletState, context: Context, currency: str, stake_minor: int) -> None:
    """Refuse a stake that the player does not want to be able to place.

    Every wager passes here before it is placed: before an instant bet, before a stake is held.

    Raises:
        Failure: `self_excluded`, `cooling_off`, `stake_limit_reached` or `loss_limit_reached`, the
            first that applies.
    """
    restrictions = state.restrictions
    if restrictions is not None:
        _check_open(restrictions, context.now_ms)
        for kind in (LimitKind.STAKE, LimitKind.LOSS):
            _check(state, restrictions, kind, currency, stake_minor, context.now_ms)


def check_deposit(state: WalletState, context: Context, currency: str, amount_minor: int) -> None:
    """Refuse a deposit that the player does not want to be able to make.

    Raises:
        Failure: `self_excluded`, `cooling_off` or `deposit_limit_reached`.
    """
    restrictions = state.restrictions
    if restrictions is not None:
        _check_open(restrictions, context.now_ms)
        kind = LimitKind.DEPOSIT
        _check(state, restrictions, kind, currency, amount_minor, context.now_ms)


def _check_open(restrictions: Restrictions, now_ms: int) -> None:
    if restrictions.excludes(now_ms):
        raise Failure(SELF_EXCLUDED, until_ms=restrictions.excluded_until_ms)
    if restrictions.cools_off(now_ms):
        raise Failure(COOLING_OFF, until_ms=restrictions.cool_off_until_ms)


def _check(
    state: WalletState,
    restrictions: Restrictions,
    kind: LimitKind,
    currency: str,
    amount_minor: int,
    now_ms: int,
) -> None:
    for period in Period:
        limit = restrictions.limit(kind.value, period.value, currency, now_ms).amount_minor
        if limit is None:
            continue
        used_minor = _used(state, kind, period, currency, now_ms)
        if used_minor + amount_minor > limit:
            raise Failure(
                _REACHED[kind],
                kind=kind.value,
                period=period.value,
                currency=currency,
                limit=limit,
                used=used_minor,
                resets_at_ms=_resets_at_ms(state, period, now_ms),
            )


def _used(state: WalletState, kind: LimitKind, period: Period, currency: str, now_ms: int) -> int:
    """How much of a limit is used, in minor units; a stake that is held may be lost."""
    balance = state.balance(currency)
    totals = balance.usage.within(period, state.today, _day(state, now_ms))
    if kind is LimitKind.STAKE:
        return totals.staked
    if kind is LimitKind.LOSS:
        return totals.lost + balance.held
    return totals.deposited


def _day(state: WalletState, now_ms: int) -> int:
    """The day that something counts on now."""
    return max(now_ms // DAY_MS, state.today)


def _resets_at_ms(state: WalletState, period: Period, now_ms: int) -> int:
    return next_first_day(period, _day(state, now_ms)) * DAY_MS


def _shown(state: WalletState, restrictions: Restrictions, now_ms: int) -> PlayLimits:
    slots = product(LimitKind, Period, sorted(CURRENCIES))
    shown = [
        PlayLimit(
            kind=kind,
            period=period,
            currency=currency,
            amount=limit.amount_minor,
            used=_used(state, kind, period, currency, now_ms),
            resets_at_ms=_resets_at_ms(state, period, now_ms),
            pending=_pending(limit),
        )
        for kind, period, currency in slots
        if (limit := restrictions.limit(kind.value, period.value, currency, now_ms)) != UNLIMITED
    ]
    excluded = restrictions.excludes(now_ms)
    cools_off = restrictions.cools_off(now_ms)
    return PlayLimits(
        limits=shown,
        cooling_off_until_ms=restrictions.cool_off_until_ms if cools_off else None,
        excluded=excluded,
        excluded_until_ms=restrictions.excluded_until_ms if excluded else None,
    )


def _pending(limit: Limit) -> PendingLimit | None:
    if limit.next_at_ms is None:
        return None
    return PendingLimit(amount=limit.next_minor, effective_at_ms=limit.next_at_ms)


def _get(state: WalletState, _command: GetLimits, context: Context) -> Decision:
    return _unchanged(state, context)


def _unchanged(state: WalletState, context: Context) -> Decision:
    return Decision(_shown(state, state.restrictions or UNRESTRICTED, context.now_ms))


def _set(state: WalletState, command: SetLimit, context: Context) -> Decision:
    check_currency(command.currency)
    kind, period, currency = command.kind.value, command.period.value, command.currency
    now_ms, amount_minor = context.now_ms, command.amount
    limit = (state.restrictions or UNRESTRICTED).limit(kind, period, currency, now_ms)
    wanted = limit.amount_minor if limit.next_at_ms is None else limit.next_minor
    if amount_minor == wanted:
        # Asked for again; a raise that is on its way does not start anew.
        return _unchanged(state, context)
    raises = _raises(limit.amount_minor, amount_minor)
    if amount_minor != 0:
        _check_changes(state, now_ms, MAX_CHANGES_A_DAY * (1 if raises else 2))
    waits_ms = RAISE_AFTER_MS if raises else 0
    return _changed(
        state,
        context,
        kind,
        period=period,
        currency=currency,
        amount_minor=amount_minor,
        effective_at_ms=now_ms + waits_ms,
    )


def _raises(before_minor: int | None, after_minor: int | None) -> bool:
    """Whether a limit allows more than the one before; None allows everything."""
    return before_minor is not None and (after_minor is None or after_minor > before_minor)


def _cool_off(state: WalletState, command: CoolOff, context: Context) -> Decision:
    restrictions = state.restrictions or UNRESTRICTED
    until_ms = context.now_ms + command.hours * HOUR_MS
    if until_ms <= restrictions.cool_off_until_ms:
        return _unchanged(state, context)
    if restrictions.cools_off(context.now_ms):
        _check_changes(state, context.now_ms, MAX_CHANGES_A_DAY * 2)
    return _changed(state, context, facts.COOL_OFF, until_ms=until_ms)


def _exclude(state: WalletState, command: Exclude, context: Context) -> Decision:
    restrictions = state.restrictions or UNRESTRICTED
    until_ms = FOR_GOOD if command.days is None else context.now_ms + command.days * DAY_MS
    before_ms = restrictions.excluded_until_ms
    if before_ms is FOR_GOOD or (until_ms is not FOR_GOOD and until_ms <= before_ms):
        return _unchanged(state, context)
    if restrictions.excludes(context.now_ms):
        _check_changes(state, context.now_ms, MAX_CHANGES_A_DAY * 2)
    return _changed(state, context, facts.EXCLUSION, until_ms=until_ms)


def _check_changes(state: WalletState, now_ms: int, most: int) -> None:
    restrictions = state.restrictions or UNRESTRICTED
    if restrictions.changes_on(now_ms // DAY_MS) >= most:
        day = max(now_ms // DAY_MS, restrictions.day)
        raise Failure(TOO_MANY_CHANGES, most=most, resets_at_ms=(day + 1) * DAY_MS)


def _changed(
    state: WalletState,
    context: Context,
    kind: str,
    *,
    period: str | None = None,
    currency: str | None = None,
    amount_minor: int | None = None,
    effective_at_ms: int | None = None,
    until_ms: int | None = None,
) -> Decision:
    before, now_ms = state.restrictions or UNRESTRICTED, context.now_ms
    made = RestrictionSet(
        state.wallet_id,
        before.number + 1,
        state.seq,
        kind,
        period,
        currency,
        amount_minor,
        now_ms if effective_at_ms is None else effective_at_ms,
        until_ms,
        now_ms,
    )
    return Decision(_shown(state, restricted(before, made), now_ms), (made,))


RULES = {
    GetLimits: Rule(_get),
    SetLimit: Rule(_set),
    CoolOff: Rule(_cool_off),
    Exclude: Rule(_exclude),
}
