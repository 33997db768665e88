-- +goose Up

-- Instants are microseconds since 1970 in UTC, lists and objects are JSON.

CREATE TABLE users (
    id                  TEXT    PRIMARY KEY,   -- usr_ and a UUID of version 7
    username            TEXT    NOT NULL,      -- lower case
    email               TEXT    NOT NULL,      -- as given
    email_key           TEXT    NOT NULL,      -- lower case: what is compared
    password_hash       TEXT    NOT NULL,
    full_name           TEXT    NOT NULL,
    bio                 TEXT    NOT NULL,
    website             TEXT    NOT NULL,
    role                TEXT    NOT NULL,
    disabled            BOOLEAN NOT NULL,
    created_at          BIGINT  NOT NULL,
    updated_at          BIGINT  NOT NULL,
    password_changed_at BIGINT  NOT NULL
);
CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email ON users (email_key);

-- body is what GET /api/v1/events shows and what the line of the log begins with. The other columns repeat what may be
-- asked for. Every index ends in the order of the list, so that a page is read off it.
CREATE TABLE events (
    id        TEXT   PRIMARY KEY,   -- evt_ and a UUID of version 7
    time      BIGINT NOT NULL,
    type      TEXT   NOT NULL,
    category  TEXT   NOT NULL,
    outcome   TEXT   NOT NULL,
    principal TEXT   NOT NULL,
    address   TEXT   NOT NULL,
    body      TEXT   NOT NULL
);
CREATE INDEX events_time ON events (time, id);
CREATE INDEX events_type ON events (type, time, id);
CREATE INDEX events_category ON events (category, time, id);
CREATE INDEX events_outcome ON events (outcome, time, id);
CREATE INDEX events_principal ON events (principal, time, id);
CREATE INDEX events_address ON events (address, time, id);
