-- +goose Up

-- What can take a right away from an account advances the sequence of package sqlstore.
CREATE CONSTRAINT TRIGGER users_changed AFTER UPDATE OF role, disabled, password_changed_at ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION merlon_revoked('account', 'id');
CREATE CONSTRAINT TRIGGER users_deleted AFTER DELETE ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION merlon_revoked('account', 'id');
