-- Bets in several steps: a stake is held, tiles may be revealed, and the hold is settled or
-- released. `hold` is the seq of the entry that opened it.
alter table wallet_entries add column hold bigint;

alter table wallet_entries drop constraint wallet_entries_check;

-- A rain is one row for each receiver. The first of them has the client's request id, and says as
-- parameters what the whole rain was: {"room", "amount", "minutes", "receivers"}.
--
-- Rows from before are checked later, without keeping others out of the ledger meanwhile.
alter table wallet_entries add constraint wallet_entries_play check (
    case kind
        when 'bet' then num_nonnulls(game, stake, payout, pair, nonce, parameters, outcome) = 7
            and hold is null
        when 'hold' then num_nonnulls(game, stake, parameters) = 3
            and num_nonnulls(payout, outcome, hold) = 0
            and (pair is null) = (nonce is null)
        when 'reveal' then num_nonnulls(game, outcome, hold) = 3
            and num_nonnulls(stake, payout, pair, nonce, parameters) = 0
        when 'settle' then num_nonnulls(game, stake, payout, outcome, hold) = 5
            and num_nonnulls(pair, nonce, parameters) = 0
        when 'release' then num_nonnulls(game, stake, outcome, hold) = 4
            and num_nonnulls(payout, pair, nonce, parameters) = 0
        when 'rain_sent'
            then num_nonnulls(game, stake, payout, pair, nonce, outcome, hold) = 0
        else num_nonnulls(game, stake, payout, pair, nonce, parameters, outcome, hold) = 0
    end
) not valid;
