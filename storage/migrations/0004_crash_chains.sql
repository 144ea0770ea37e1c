-- The hashes that crash rounds bust by. A chain is made backwards, from a random last hash down to
-- the terminal one, which is published. A round's hash is revealed when it is over.
create table crash_chains (
    id bigint generated always as identity primary key,
    table_id integer not null check (table_id > 0),
    length integer not null check (length > 0),
    -- Null while the chain is being made.
    terminal_hash text unique check (terminal_hash ~ '^[0-9a-f]{64}$'),
    complete boolean not null generated always as (terminal_hash is not null) stored,
    -- Set once, after the terminal hash was published. A chain without it is not played.
    public_seed text check (char_length(public_seed) between 1 and 128),
    created_at_ms bigint not null,
    fixed_at_ms bigint,
    check ((public_seed is null) = (fixed_at_ms is null)),
    check (public_seed is null or terminal_hash is not null)
);

-- One chain of a table is made at a time, and what was begun is finished first.
create unique index crash_chains_in_making on crash_chains (table_id) where terminal_hash is null;
-- The order in which a table plays its chains.
create unique index crash_chains_fixed on crash_chains (table_id, fixed_at_ms)
    where fixed_at_ms is not null;

-- Every thousandth hash of a chain and its last one; those between are hashed down from the next
-- link. Sealed, as whoever knows a link knows all rounds before it.
create table crash_chain_links (
    chain_id bigint not null references crash_chains,
    position integer not null check (position > 0),
    sealed_hash bytea not null,
    primary key (chain_id, position)
);
