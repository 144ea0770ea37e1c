-- What happens at crash tables: append-only, one row for each thing. Nothing updates a row.
--
-- seq is gapless per table, so the primary key also stops two owners of one table from both writing.
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
    primary key (table_id, seq),
    check ((wallet_id is null) = (kind in ('opened', 'started', 'forced', 'crashed', 'voided'))),
    check ((wallet_id is null) = (hold is null))
);

-- Where a table's newest round begins, and the pages of rounds that are over.
create index crash_entries_opened on crash_entries (table_id, seq) where kind = 'opened';
create index crash_entries_over on crash_entries (table_id, round)
    where kind in ('crashed', 'voided');
-- The newest bets that were taken or sent back.
create index crash_entries_taken on crash_entries (table_id, seq)
    where kind in ('joined', 'returned');
