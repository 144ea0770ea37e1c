-- What happens at crash tables: append-only, one row for each thing. Nothing updates a row.
--
-- seq is gapless per table, so the primary key also stops two owners of a table from both writing.
create table crash_entries (
    table_id bigint not null check (table_id > 0),
    seq bigint not null check (seq > 0),
    round bigint not null check (round > 0),
    kind text not null check (
        kind in (
            'opened', 'started', 'forced', 'crashed', 'voided',
            'joined', 'returned', 'left', 'cashed_out', 'lost', 'refunded'
        )
    ),
    at_ms bigint not null,
    wallet_id bigint,
    hold bigint,
    player text,
    stake bigint,
    auto_cashout bigint,
    multiplier bigint,
    payout bigint,
    bets integer,
    chain_id bigint,
    position bigint,
    hash text,
    reason text,
    edge_percent integer,
    -- Where a bet is cashed out at the latest, by its wish or by what it may win.
    target bigint,
    primary key (table_id, seq),
    check ((target is not null) = (kind = 'joined')),
    constraint crash_entries_columns check (
        case kind
            when 'opened' then num_nonnulls(multiplier, edge_percent, chain_id, position) = 4
                and num_nonnulls(wallet_id, hold, player, stake, auto_cashout, payout, bets, hash,
                    reason) = 0
            when 'started' then num_nonnulls(wallet_id, hold, player, stake, auto_cashout,
                multiplier, payout, bets, chain_id, position, hash, reason, edge_percent) = 0
            when 'forced' then multiplier is not null
                and num_nonnulls(wallet_id, hold, player, stake, auto_cashout, payout, bets,
                    chain_id, position, hash, reason, edge_percent) = 0
            when 'crashed' then num_nonnulls(stake, multiplier, payout, bets, chain_id, position,
                    hash) = 7
                and num_nonnulls(wallet_id, hold, player, auto_cashout, reason, edge_percent) = 0
            when 'voided' then num_nonnulls(stake, multiplier, payout, bets, chain_id, position,
                    hash, reason) = 8
                and num_nonnulls(wallet_id, hold, player, auto_cashout, edge_percent) = 0
            else num_nonnulls(wallet_id, hold) = 2
                and num_nonnulls(bets, chain_id, position, hash, edge_percent) = 0
                and (player is not null) = (kind = 'joined')
                and (stake is not null) = (kind in ('joined', 'returned'))
                and (auto_cashout is null or kind = 'joined')
                and (multiplier is not null) = (kind = 'cashed_out')
                and (payout is not null) = (kind in ('cashed_out', 'lost'))
                and (reason is null) = (kind in ('joined', 'lost'))
        end
    )
);

-- Where a table's newest round begins, and the pages of rounds that are over.
create unique index crash_entries_opened on crash_entries (table_id, round)
    where kind = 'opened';
create unique index crash_entries_over on crash_entries (table_id, round)
    where kind in ('crashed', 'voided');
-- What became of a stake, for a request that is sent again.
create index crash_entries_stakes on crash_entries (table_id, wallet_id, hold)
    where kind in ('joined', 'returned');
-- The newest bets that were taken or sent back.
create index crash_entries_taken on crash_entries (table_id, seq)
    where kind in ('joined', 'returned');
