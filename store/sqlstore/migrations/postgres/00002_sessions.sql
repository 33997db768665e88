-- +goose Up

CREATE TABLE sessions (
    id           TEXT COLLATE "C" PRIMARY KEY,   -- ses_ and a UUID of version 7
    user_id      TEXT COLLATE "C" NOT NULL,
    hash         TEXT COLLATE "C" NOT NULL,      -- SHA-256 of the token, hexadecimal
    created_at   BIGINT           NOT NULL,
    last_seen_at BIGINT           NOT NULL,
    address      TEXT COLLATE "C" NOT NULL,
    user_agent   TEXT COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_seen ON sessions (last_seen_at);
