-- +goose Up

-- Every change that can take a right away advances the sequence, in its own transaction, and leaves a line in the
-- log. Triggers do it, so that programs that know nothing of it do it too. One writer at a time: the numbers commit in
-- order.
CREATE TABLE revocation_sequence (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    seq BIGINT NOT NULL
);
INSERT INTO revocation_sequence (one, seq) VALUES (1, 0);

-- The last 4096 numbers: each takes the place of the one 4096 before it.
CREATE TABLE revocations (
    slot BIGINT PRIMARY KEY,
    seq  BIGINT NOT NULL,
    kind TEXT   NOT NULL,   -- key, session, grant, account
    name TEXT   NOT NULL    -- what it is found by: the look-up id of a key, the hash of a session, else an id
);
CREATE UNIQUE INDEX revocations_seq ON revocations (seq);
INSERT INTO revocations (slot, seq, kind, name) VALUES (0, 0, '', '');

-- Last use and name take nothing away.
-- +goose StatementBegin
CREATE TRIGGER api_keys_changed AFTER UPDATE OF lookup, hash, env, owner, scopes, enabled, allowed_addresses, rate_limit, rate_window, expires_at, replaced_at, revoked_at ON api_keys
BEGIN
    UPDATE revocation_sequence SET seq = seq + 1;
    INSERT INTO revocations (slot, seq, kind, name) SELECT seq % 4096, seq, 'key', OLD.lookup FROM revocation_sequence WHERE true
        ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, name = excluded.name;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER api_keys_deleted AFTER DELETE ON api_keys WHEN OLD.revoked_at IS NULL
BEGIN
    UPDATE revocation_sequence SET seq = seq + 1;
    INSERT INTO revocations (slot, seq, kind, name) SELECT seq % 4096, seq, 'key', OLD.lookup FROM revocation_sequence WHERE true
        ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, name = excluded.name;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sessions_deleted AFTER DELETE ON sessions
BEGIN
    UPDATE revocation_sequence SET seq = seq + 1;
    INSERT INTO revocations (slot, seq, kind, name) SELECT seq % 4096, seq, 'session', OLD.hash FROM revocation_sequence WHERE true
        ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, name = excluded.name;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER token_grants_changed AFTER UPDATE OF user_id, scopes, expires_at ON token_grants
BEGIN
    UPDATE revocation_sequence SET seq = seq + 1;
    INSERT INTO revocations (slot, seq, kind, name) SELECT seq % 4096, seq, 'grant', OLD.id FROM revocation_sequence WHERE true
        ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, name = excluded.name;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER token_grants_deleted AFTER DELETE ON token_grants
BEGIN
    UPDATE revocation_sequence SET seq = seq + 1;
    INSERT INTO revocations (slot, seq, kind, name) SELECT seq % 4096, seq, 'grant', OLD.id FROM revocation_sequence WHERE true
        ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, name = excluded.name;
END;
-- +goose StatementEnd
