-- Accounts and their sessions. Wallets are keyed by users.id.

CREATE TABLE users (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username      text NOT NULL CHECK (char_length(username) BETWEEN 3 AND 24),
    -- Null for guests, and for accounts that will enter by a phone number.
    email         text CHECK (char_length(email) <= 254),
    -- Null where no password opens the account. Other ways in (OAuth, phone) will be rows of a
    -- table `identities`, unique by provider and subject, that point at the user.
    password_hash text,
    role          text NOT NULL CHECK (role IN ('player', 'operator', 'admin')),
    guest         boolean NOT NULL,
    created_at    timestamptz NOT NULL,
    disabled_at   timestamptz
);

-- Names and addresses are shown as they were typed, and compared without regard to case.
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

-- A session is a family of refresh tokens: each one used issues the next. `expires_at` is that of
-- the newest token, so an untouched session ends by itself.
CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    user_id    bigint NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    reason     text CHECK (reason IN ('logged_out', 'token_reused', 'too_many', 'disabled')),
    CHECK ((revoked_at IS NULL) = (reason IS NULL))
);

CREATE INDEX sessions_by_user ON sessions (user_id, created_at) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Only the SHA-256 of a token is stored. The tokens are 256 random bits, so a slow hash would add
-- nothing. A used token stays until it expires: that is how its second use is noticed.
CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id uuid NOT NULL REFERENCES sessions,
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
