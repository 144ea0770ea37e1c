-- The ledger: append-only, one row for each change of a wallet. Nothing updates a balance in place.
--
-- seq is gapless per wallet, so the primary key also stops two owners of one wallet from both
-- writing. There are no foreign keys: the journal writes many rows a second, and the owner of a
-- wallet has checked what they would check.
create table wallet_entries (
    wallet_id bigint not null check (wallet_id > 0),
    seq bigint not null check (seq > 0),
    currency text not null,
    kind text not null,
    available_delta bigint not null,
    held_delta bigint not null,
    available_after bigint not null check (available_after between 0 and 9007199254740991),
    held_after bigint not null check (held_after between 0 and 9007199254740991),
    counterparty bigint,
    request_id uuid not null,
    at_ms bigint not null,
    game text,
    stake bigint,
    payout bigint,
    pair integer,
    nonce bigint,
    parameters jsonb,
    outcome jsonb,
    primary key (wallet_id, seq),
    check (
        (kind = 'bet')
        = (num_nonnulls(game, stake, payout, pair, nonce, parameters, outcome) = 7)
    )
) partition by hash (wallet_id);

create unique index wallet_entries_request on wallet_entries (wallet_id, request_id);

do $$
begin
    for part in 0..7 loop
        execute format(
            'create table wallet_entries_%s partition of wallet_entries
             for values with (modulus 8, remainder %s)', part, part);
    end loop;
end $$;

-- A pair is never updated: its server seed is revealed once a pair with a higher server_number
-- exists. after_seq is the wallet's newest entry when the pair was issued.
create table wallet_seed_pairs (
    wallet_id bigint not null,
    number integer not null check (number > 0),
    server_number integer not null check (server_number > 0),
    after_seq bigint not null,
    sealed_server_seed bytea not null,
    server_seed_hash text not null,
    client_seed text not null,
    first_nonce bigint not null,
    at_ms bigint not null,
    primary key (wallet_id, number)
);

-- Snapshots only make reading a wallet back quicker. They may be dropped at any time.
create table wallet_snapshots (
    wallet_id bigint primary key,
    seq bigint not null,
    state bytea not null
);

-- Messages between actors, written with the facts that sent them, removed when the receiver has
-- committed them.
create table outbox (
    message_id uuid primary key,
    shard integer not null,
    kind text not null,
    key bigint not null,
    command text not null,
    body jsonb not null,
    at_ms bigint not null
);

create index outbox_age on outbox (at_ms, message_id);
