-- +goose Up

-- Every change that can take a right away advances the sequence, in its own transaction, and leaves a line in the
-- log. Triggers do it, so that programs that know nothing of it do it too. The row of the sequence is locked until the
-- commit: the numbers commit in order.
CREATE TABLE revocation_sequence (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    seq BIGINT NOT NULL
);
INSERT INTO revocation_sequence (one, seq) VALUES (1, 0);

-- The last 4096 numbers: each takes the place of the one 4096 before it.
CREATE TABLE revocations (
    slot BIGINT           PRIMARY KEY,
    seq  BIGINT           NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,   -- key, session, grant, account, all
    name TEXT COLLATE "C" NOT NULL    -- what it is found by: the look-up id of a key, the hash of a session, else an id
);
CREATE UNIQUE INDEX revocations_seq ON revocations (seq);
INSERT INTO revocations (slot, seq, kind, name) VALUES (0, 0, '', '');

-- The arguments are the kind and the column that holds the name. After 500 lines of a transaction one says that all may
-- have changed, and the rest is left out: a row that is updated thousands of times in a transaction takes ever longer.
-- +goose StatementBegin
CREATE FUNCTION merlon_revoked() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    n BIGINT;
    lines INT := coalesce(nullif(current_setting('merlon.revoked', true), '')::INT, 0) + 1; -- of this transaction
    what TEXT := TG_ARGV[0];
    whose TEXT;
BEGIN
    IF lines > 501 THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('merlon.revoked', lines::TEXT, true);
    IF lines = 501 THEN
        what := 'all';
        whose := '';
    ELSE
        whose := to_jsonb(OLD) ->> TG_ARGV[1];
    END IF;
    UPDATE revocation_sequence SET seq = seq + 1 RETURNING seq INTO n;
    INSERT INTO revocations (slot, seq, kind, name) VALUES (n % 4096, n, what, whose)
        ON CONFLICT (slot) DO UPDATE SET seq = excluded.seq, kind = excluded.kind, name = excluded.name;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Deferred: the sequence is the last thing that a transaction locks, and for as long as the commit takes. Earlier,
-- transactions that lock something after it could wait for each other in a circle.
-- Last use and name take nothing away.
CREATE CONSTRAINT TRIGGER api_keys_changed AFTER UPDATE OF lookup, hash, env, owner, scopes, enabled, allowed_addresses, rate_limit, rate_window, expires_at, replaced_at, revoked_at ON api_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION merlon_revoked('key', 'lookup');
CREATE CONSTRAINT TRIGGER api_keys_deleted AFTER DELETE ON api_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.revoked_at IS NULL) EXECUTE FUNCTION merlon_revoked('key', 'lookup');
CREATE CONSTRAINT TRIGGER sessions_deleted AFTER DELETE ON sessions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION merlon_revoked('session', 'hash');
CREATE CONSTRAINT TRIGGER token_grants_changed AFTER UPDATE OF user_id, scopes, expires_at ON token_grants
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION merlon_revoked('grant', 'id');
CREATE CONSTRAINT TRIGGER token_grants_deleted AFTER DELETE ON token_grants
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION merlon_revoked('grant', 'id');
