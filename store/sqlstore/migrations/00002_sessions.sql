-- +goose Up

CREATE TABLE sessions (
    id           TEXT   PRIMARY KEY,   -- ses_ and a UUID of version 7
    user_id      TEXT   NOT NULL,
    hash         TEXT   NOT NULL,      -- SHA-256 of the token, hexadecimal
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    address      TEXT   NOT NULL,
    user_agent   TEXT   NOT NULL
);
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_seen ON sessions (last_seen_at);
