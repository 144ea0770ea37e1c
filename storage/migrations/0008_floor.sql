-- A rain is one row for each receiver. The first of them has the client's request id, and says as
-- parameters what the whole rain was: {"room", "amount", "minutes", "receivers"}.
alter table wallet_entries drop constraint wallet_entries_play;

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
);

-- Statistics of players, derived from the ledger: a wallet's rows up to upto_seq are counted. Both
-- tables may be emptied at any time, together; they fill again as statistics are asked for.
create table player_stats (
    wallet_id bigint primary key,
    upto_seq bigint not null
);

-- Sums are numeric: a million bets of all the money a wallet holds go past what a bigint does.
create table player_game_stats (
    wallet_id bigint not null,
    game text not null,
    currency text not null,
    bets bigint not null,
    staked numeric not null,
    paid numeric not null,
    biggest_win bigint not null,
    best_multiplier numeric not null,
    primary key (wallet_id, game, currency)
);

-- What operators switched, append-only: who, when and what. The newest row of a game, or of one of
-- its tables, says whether it is paused.
create table game_switches (
    number bigint generated always as identity primary key,
    game text not null,
    -- 0 stands for all of the game.
    table_id integer not null check (table_id >= 0),
    paused boolean not null,
    user_id bigint not null references users,
    at_ms bigint not null
);

create index game_switches_newest on game_switches (game, table_id, number desc);
