-- What all nodes of a database agree on: into how many shards its actors are hashed. The locks of
-- shards and the rows of the outbox go by it, so that whoever starts first fixes it.
create table placement (
    one boolean primary key default true check (one),
    shards integer not null check (shards > 0)
);
