-- What players set against too much play: limits, breaks and exclusions. Append-only; the newest of
-- a kind, period and currency is in force from effective_at_ms on. after_seq is the wallet's newest
-- entry when it was set.
create table wallet_restrictions (
    wallet_id bigint not null check (wallet_id > 0),
    number integer not null check (number > 0),
    after_seq bigint not null check (after_seq >= 0),
    kind text not null,
    period text check (period in ('day', 'week', 'month')),
    currency text,
    -- Null where a limit is taken away.
    amount bigint check (amount between 0 and 9007199254740991),
    effective_at_ms bigint not null,
    -- Null for an exclusion for good.
    until_ms bigint,
    at_ms bigint not null,
    primary key (wallet_id, number),
    constraint wallet_restrictions_kind check (
        case
            when kind in ('deposit', 'loss', 'stake')
                then num_nonnulls(period, currency) = 2 and until_ms is null
            when kind = 'cool_off'
                then num_nonnulls(period, currency, amount) = 0 and until_ms is not null
            when kind = 'exclusion' then num_nonnulls(period, currency, amount) = 0
            else false
        end
    ),
    constraint wallet_restrictions_time check (effective_at_ms >= at_ms)
);

-- From format 2 on, snapshots have what counts for limits. An earlier version, which goes on while
-- this one stands by, writes those of format 1; they are not read.
alter table wallet_snapshots add column format integer not null default 1;
