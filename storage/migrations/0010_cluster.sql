-- What all nodes of a database agree on: into how many shards its actors are hashed, and the name
-- of their cluster. The locks of shards and the rows of the outbox go by the number, and members
-- find each other by the name, so that whoever starts first fixes them. A node that is alone has no
-- cluster and names none.
create table placement (
    one boolean primary key default true check (one),
    shards integer not null check (shards > 0),
    cluster text
);
