-- The tables of the first version in SQLite, as its own dump shows them.
PRAGMA application_id = 1297239118;
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
CREATE TABLE merlon_schema (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "merlon_schema" VALUES(1,0,1,'2026-11-26 01:59:36');
INSERT INTO "merlon_schema" VALUES(2,1,1,'2026-11-26 01:59:36');
CREATE TABLE merlon_schema_store (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "merlon_schema_store" VALUES(1,0,1,'2026-11-26 01:59:36');
INSERT INTO "merlon_schema_store" VALUES(2,1,1,'2026-11-26 01:59:36');
INSERT INTO "merlon_schema_store" VALUES(3,2,1,'2026-11-26 01:59:36');
INSERT INTO "merlon_schema_store" VALUES(4,3,1,'2026-11-26 01:59:36');
CREATE TABLE sessions (
    id           TEXT   PRIMARY KEY,   -- ses_ and a UUID of version 7
    user_id      TEXT   NOT NULL,
    hash         TEXT   NOT NULL,      -- SHA-256 of the token, hexadecimal
    created_at   BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    address      TEXT   NOT NULL,
    user_agent   TEXT   NOT NULL
);
CREATE TABLE token_grants (
    id           TEXT   PRIMARY KEY,   -- ses_ and a UUID of version 7
    user_id      TEXT   NOT NULL,
    family       TEXT   NOT NULL,      -- SHA-256, hexadecimal
    hash         TEXT   NOT NULL,      -- SHA-256 of the refresh token that is good, hexadecimal
    scopes       TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    refreshed_at BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    address      TEXT   NOT NULL,
    user_agent   TEXT   NOT NULL
);
CREATE TABLE token_keys (
    id         TEXT   PRIMARY KEY,     -- the kid
    algorithm  TEXT   NOT NULL,
    number     BIGINT NOT NULL,        -- of one number there is one key
    signs_from BIGINT NOT NULL,
    secret_id  TEXT   NOT NULL,        -- the name of the secret that it is encrypted under
    sealed     TEXT   NOT NULL         -- AES-256-GCM, hexadecimal
);
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
CREATE INDEX events_time ON events (time, id);
CREATE INDEX events_type ON events (type, time, id);
CREATE INDEX events_category ON events (category, time, id);
CREATE INDEX events_outcome ON events (outcome, time, id);
CREATE INDEX events_principal ON events (principal, time, id);
CREATE INDEX events_address ON events (address, time, id);
CREATE UNIQUE INDEX api_keys_lookup ON api_keys (lookup);
CREATE INDEX api_keys_owner ON api_keys (owner, id);
CREATE INDEX api_keys_expires ON api_keys (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX api_keys_revoked ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_seen ON sessions (last_seen_at);
CREATE UNIQUE INDEX token_grants_family ON token_grants (family);
CREATE INDEX token_grants_user ON token_grants (user_id, id);
CREATE INDEX token_grants_refreshed ON token_grants (user_id, refreshed_at, id);
CREATE INDEX token_grants_expires ON token_grants (expires_at);
CREATE UNIQUE INDEX token_keys_number ON token_keys (algorithm, number);
