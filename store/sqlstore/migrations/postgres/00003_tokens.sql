-- +goose Up

-- The families of refresh tokens: one row a login.
CREATE TABLE token_grants (
    id           TEXT COLLATE "C" PRIMARY KEY,   -- ses_ and a UUID of version 7
    user_id      TEXT COLLATE "C" NOT NULL,
    family       TEXT COLLATE "C" NOT NULL,      -- SHA-256, hexadecimal
    hash         TEXT COLLATE "C" NOT NULL,      -- SHA-256 of the refresh token that is good, hexadecimal
    scopes       TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT           NOT NULL,
    refreshed_at BIGINT           NOT NULL,
    expires_at   BIGINT           NOT NULL,
    address      TEXT COLLATE "C" NOT NULL,
    user_agent   TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX token_grants_family ON token_grants (family);
CREATE INDEX token_grants_user ON token_grants (user_id, id);
CREATE INDEX token_grants_refreshed ON token_grants (user_id, refreshed_at, id);
CREATE INDEX token_grants_expires ON token_grants (expires_at);

-- The keys that sign access tokens, encrypted.
CREATE TABLE token_keys (
    id         TEXT COLLATE "C" PRIMARY KEY,     -- the kid
    algorithm  TEXT COLLATE "C" NOT NULL,
    number     BIGINT           NOT NULL,        -- of one number there is one key
    signs_from BIGINT           NOT NULL,
    secret_id  TEXT COLLATE "C" NOT NULL,        -- the name of the secret that it is encrypted under
    sealed     TEXT COLLATE "C" NOT NULL         -- AES-256-GCM, hexadecimal
);
CREATE UNIQUE INDEX token_keys_number ON token_keys (algorithm, number);
