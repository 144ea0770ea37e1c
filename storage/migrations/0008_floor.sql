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
