-- +goose Up

-- Instants are microseconds since 1970 in UTC, lists and objects are JSON.

CREATE TABLE users (
    id                  TEXT COLLATE "C" PRIMARY KEY,   -- usr_ and a UUID of version 7
    username            TEXT COLLATE "C" NOT NULL,      -- lower case
    email               TEXT COLLATE "C" NOT NULL,      -- as given
    email_key           TEXT COLLATE "C" NOT NULL,      -- lower case: what is compared
    password_hash       TEXT COLLATE "C" NOT NULL,
    full_name           TEXT COLLATE "C" NOT NULL,
    bio                 TEXT COLLATE "C" NOT NULL,
    website             TEXT COLLATE "C" NOT NULL,
    role                TEXT COLLATE "C" NOT NULL,
    disabled            BOOLEAN           NOT NULL,
    created_at          BIGINT           NOT NULL,
    updated_at          BIGINT           NOT NULL,
    password_changed_at BIGINT           NOT NULL
);
CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email ON users (email_key);

-- body is what GET /api/v1/events shows and what the line of the log begins with. The other columns repeat what may be
-- asked for. Every index ends in the order of the list, so that a page is read off it.
CREATE TABLE events (
    id        TEXT COLLATE "C" PRIMARY KEY,   -- evt_ and a UUID of version 7
    time      BIGINT           NOT NULL,
    type      TEXT COLLATE "C" NOT NULL,
    category  TEXT COLLATE "C" NOT NULL,
    outcome   TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    address   TEXT COLLATE "C" NOT NULL,
    body      TEXT COLLATE "C" NOT NULL
);
CREATE INDEX events_time ON events (time, id);
CREATE INDEX events_type ON events (type, time, id);
CREATE INDEX events_category ON events (category, time, id);
CREATE INDEX events_outcome ON events (outcome, time, id);
CREATE INDEX events_principal ON events (principal, time, id);
CREATE INDEX events_address ON events (address, time, id);
