-- Accounts and their sessions. Wallets are keyed by users.id. Times are milliseconds since 1970.
create table users (
    id bigint generated always as identity primary key,
    username text not null check (char_length(username) between 3 and 24),
    -- Null for guests, and for accounts that will enter by a phone number.
    email text check (char_length(email) <= 254),
    -- Null where no password opens the account. Other ways in (OAuth, phone) will be rows of a
    -- table `identities`, unique by provider and subject, that point at the user.
    password_hash text,
    role text not null check (role in ('player', 'operator', 'admin')),
    guest boolean not null,
    created_at_ms bigint not null,
    disabled_at_ms bigint
);

-- Names and addresses are shown as they were typed, and compared without regard to case.
create unique index users_username_key on users (lower(username));
create unique index users_email_key on users (lower(email));

-- A session is a family of refresh tokens: each one used issues the next. expires_at_ms is that of
-- the newest token, so an untouched session ends by itself.
create table sessions (
    id uuid primary key,
    user_id bigint not null references users,
    created_at_ms bigint not null,
    expires_at_ms bigint not null,
    revoked_at_ms bigint,
    reason text check (reason in ('logged_out', 'token_reused', 'too_many', 'disabled')),
    check ((revoked_at_ms is null) = (reason is null))
);

create index sessions_by_user on sessions (user_id, created_at_ms) where revoked_at_ms is null;
create index sessions_by_expiry on sessions (expires_at_ms);

-- Only the SHA-256 of a token is stored. The tokens are 256 random bits, so a slow hash would add
-- nothing. A used token stays until it expires: that is how its second use is noticed.
create table refresh_tokens (
    token_hash bytea primary key check (octet_length(token_hash) = 32),
    session_id uuid not null references sessions,
    issued_at_ms bigint not null,
    expires_at_ms bigint not null,
    used_at_ms bigint
);

create index refresh_tokens_by_session on refresh_tokens (session_id);
create index refresh_tokens_by_expiry on refresh_tokens (expires_at_ms);
