-- +goose Up

-- Instants are microseconds since 1970 in UTC, lists are JSON.

CREATE TABLE api_keys (
    id                TEXT    PRIMARY KEY,   -- key_ and a UUID of version 7
    lookup            TEXT    NOT NULL,      -- the id inside the key
    hash              TEXT    NOT NULL,      -- SHA-256 of the secret, hexadecimal
    env               TEXT    NOT NULL,
    owner             TEXT    NOT NULL,
    name              TEXT    NOT NULL,
    scopes            TEXT    NOT NULL,
    enabled           BOOLEAN NOT NULL,
    allowed_addresses TEXT    NOT NULL,      -- prefixes
    rate_limit        BIGINT,                -- requests in
    rate_window       BIGINT,                -- microseconds
    created_at        BIGINT  NOT NULL,
    expires_at        BIGINT,
    last_used_at      BIGINT,
    replaced_at       BIGINT,
    rotated_to        TEXT    NOT NULL,
    revoked_at        BIGINT,
    version           BIGINT  NOT NULL
);
CREATE UNIQUE INDEX api_keys_lookup ON api_keys (lookup);
CREATE INDEX api_keys_owner ON api_keys (owner, id);
-- For the sweep alone: lists of what is not revoked must not come by way of these.
CREATE INDEX api_keys_expires ON api_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX api_keys_revoked ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
