-- +goose Up

-- What can take a right away from an account advances the sequence of package sqlstore.
-- +goose StatementBegin
CREATE TRIGGER users_changed AFTER UPDATE OF role, disabled, password_changed_at ON users
BEGIN
    UPDATE revocation_sequence SET seq = seq + 1;
    INSERT INTO revocations (slot, seq, kind, name) SELECT seq % 4096, seq, 'account', OLD.id FROM revocation_sequence WHERE true
        ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, name = excluded.name;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_deleted AFTER DELETE ON users
BEGIN
    UPDATE revocation_sequence SET seq = seq + 1;
    INSERT INTO revocations (slot, seq, kind, name) SELECT seq % 4096, seq, 'account', OLD.id FROM revocation_sequence WHERE true
        ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, name = excluded.name;
END;
-- +goose StatementEnd
