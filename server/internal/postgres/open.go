package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Config says which database to open.
type Config struct {
	// URL is postgres://user:password@host:port/database, with the parameters sslmode, sslrootcert, sslcert, sslkey,
	// search_path, host (the directory of a Unix socket) and pool_max_conns. Nothing is taken from the environment. Without sslmode the server's
	// certificate is verified (verify-full), but for one on loopback or a socket, which is spoken to in clear. Required.
	URL string
	// Patience is how long Open waits for a database that cannot be reached: default 1 min.
	Patience time.Duration
	// MigrationPatience is how long to wait while another process migrates: default 5 min.
	MigrationPatience time.Duration
	// Log is told of waiting; default none.
	Log *slog.Logger
}

// Limits of a connection. The deadline of a call (package sqlstore) comes before those of statements; they end what
// runs for a client that is gone.
const (
	defaultConns   = 16
	maxLifetime    = 30 * time.Minute
	maxIdle        = 5 * time.Minute
	connectTimeout = 5 * time.Second

	statementTimeout   = "10s"
	lockTimeout        = "1500ms"
	transactionTimeout = "10s" // idle in a transaction

	// A migration may take long, but those who wait for its locks do not: it must get them soon or try another time.
	migrationLockTimeout = "5s"
)

// A DB is a database. Its methods may be called concurrently.
type DB struct {
	name              string // host:port/database, for messages
	user              string
	patience          time.Duration
	migrationPatience time.Duration
	log               *slog.Logger
	config            pgx.ConnConfig
	pool              *sql.DB
	conns             int // of the pool
}

// New returns the database of cfg and connects to nothing.
func New(cfg Config) (*DB, error) {
	db := &DB{patience: cfg.Patience, migrationPatience: cfg.MigrationPatience, log: cfg.Log}
	if db.patience == 0 {
		db.patience = time.Minute
	}
	if db.migrationPatience == 0 {
		db.migrationPatience = 5 * time.Minute
	}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	conns, err := db.parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	db.pool, db.conns = stdlib.OpenDB(db.config), conns
	db.pool.SetMaxOpenConns(conns)
	db.pool.SetMaxIdleConns(conns)
	db.pool.SetConnMaxLifetime(maxLifetime)
	db.pool.SetConnMaxIdleTime(maxIdle)
	return db, nil
}

// Open is [New] and [DB.Open].
func Open(ctx context.Context, cfg Config) (*DB, error) {
	db, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := db.Open(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// parse sets name, user and config. Its errors show nothing of the URL, which may hold a password anywhere when it is
// malformed.
func (db *DB) parse(text string) (conns int, err error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.User == nil {
		return 0, errors.New("postgres: URL is not of the form postgres://user:password@host:port/database")
	}
	q := u.Query()
	conns = defaultConns
	if text := q.Get("pool_max_conns"); text != "" {
		if conns, err = strconv.Atoi(text); err != nil || conns < 1 || conns > 1000 {
			return 0, errors.New("postgres: pool_max_conns of the URL must be 1 to 1000")
		}
	}
	q.Del("pool_max_conns")
	if q.Get("sslmode") == "" {
		q.Set("sslmode", "verify-full")
		if isLocal(u.Hostname(), q.Get("host")) {
			q.Set("sslmode", "disable")
		}
	}
	if u.Host != "" && u.Port() == "" {
		u.Host += ":5432"
	}
	u.RawQuery = q.Encode()
	config, err := pgx.ParseConfig(u.String())
	var file *fs.PathError
	if errors.As(err, &file) {
		return 0, fmt.Errorf("postgres: a file that the URL names cannot be read: %w", file)
	}
	if err != nil {
		return 0, errors.New("postgres: URL has a parameter that cannot be used: see sslmode, sslrootcert, sslcert and sslkey")
	}
	config.Password, _ = u.User.Password()
	config.ConnectTimeout = connectTimeout
	params := map[string]string{
		"application_name": "merlon", "client_encoding": "UTF8", "TimeZone": "UTC",
		"default_transaction_isolation":       "read committed",
		"statement_timeout":                   statementTimeout,
		"lock_timeout":                        lockTimeout,
		"idle_in_transaction_session_timeout": transactionTimeout,
	}
	if path := q.Get("search_path"); path != "" {
		params["search_path"] = path
	}
	config.RuntimeParams = params
	db.config, db.user = *config, config.User
	host := u.Host
	if host == "" {
		host = q.Get("host")
	}
	db.name = host + "/" + strings.TrimPrefix(u.Path, "/")
	return conns, nil
}

// isLocal reports whether what is sent to the server stays on this machine.
func isLocal(host, socket string) bool {
	if host == "" {
		return strings.HasPrefix(socket, "/")
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Open waits until the database answers, and makes sure that it is new or ours and can be written. It changes nothing.
// Call [DB.Migrate] next.
//
// The error wraps [ErrUnreachable], [ErrDenied], [ErrMissing], [ErrForeign], [ErrReadOnly] or [ErrCorrupt] where one of
// them fits.
func (db *DB) Open(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, db.patience)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := db.try(patient)
		if err == nil || !mayPass(err) {
			return db.explain(err)
		}
		// Said before the pause, so that whoever watches knows what for.
		db.log.Warn("waiting for the database", "database", db.name, "error", db.explain(err), "giving_up_after", db.patience)
		select {
		case <-patient.Done():
			if ctx.Err() != nil {
				return db.explain(context.Cause(ctx))
			}
			return fmt.Errorf("gave up after %v: %w", db.patience, db.explain(err))
		case <-time.After(wait):
		}
	}
}

// try looks at the database once.
func (db *DB) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	return db.look(ctx, db.pool)
}

// look reports what makes the database unfit.
func (db *DB) look(ctx context.Context, q *sql.DB) error {
	var version, objects int
	var readOnly, ours, mayCreate bool
	var encoding, schema string
	// Objects that came with extensions are nobody's.
	err := q.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int,
			pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
			current_setting('server_encoding'), coalesce(current_schema(), ''),
			coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
			coalesce(bool_or(c.relname = 'merlon_schema'), false), count(c.oid)
		FROM (SELECT 1) one LEFT JOIN pg_class c ON c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
			AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
			AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`).
		Scan(&version, &readOnly, &encoding, &schema, &mayCreate, &ours, &objects)
	switch {
	case err != nil:
		return err
	case version < 130000:
		return fmt.Errorf("%w: it is PostgreSQL %d: version 13 or later is needed", errUnfit, version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("%w: its encoding is %s: make it with ENCODING 'UTF8'", errUnfit, encoding)
	case schema == "":
		return fmt.Errorf("%w: no schema of its search_path exists: make it, or name another one", errUnfit)
	case readOnly:
		return fmt.Errorf("%w: it is a standby, or transactions in it are: name the primary", ErrReadOnly)
	case objects > 0 && !ours:
		return fmt.Errorf("%w: schema %s has other tables and none of ours: name a database or a search_path of its own", ErrForeign, schema)
	case !ours && !mayCreate:
		return fmt.Errorf("%w: user %s may not make tables in schema %s: give it the right (GRANT CREATE ON SCHEMA), or make it the owner", ErrDenied, db.user, schema)
	}
	return nil
}

// Writer returns the pool.
func (db *DB) Writer() *sql.DB { return db.pool }

// Reader returns the pool too.
func (db *DB) Reader() *sql.DB { return db.pool }

// Check returns nil when the database answers before ctx ends, and can be written by this user.
func (db *DB) Check(ctx context.Context) error {
	var standby, readOnly, denied bool
	// One table of the service stands for all; before there is one, nothing is denied.
	err := db.pool.QueryRowContext(ctx, `SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean,
		NOT coalesce(has_table_privilege(to_regclass('users'), 'SELECT') AND has_table_privilege(to_regclass('users'), 'INSERT')
			AND has_table_privilege(to_regclass('users'), 'UPDATE'), true)`).Scan(&standby, &readOnly, &denied)
	switch {
	case err != nil:
	case standby:
		err = fmt.Errorf("%w: %w", ErrReadOnly, ErrStandby)
	case readOnly:
		err = ErrReadOnly
	case denied:
		err = fmt.Errorf("%w: user %s may not write the tables any more: give it back the right (GRANT), or make it the owner", ErrDenied, db.user)
	}
	return db.explain(err)
}

// Probe is [DB.Check] of a database that is away. Without an answer it drops the connections at rest, which may lead to
// a machine that is gone: the next probe makes its own, and finds who has the name or the address now.
func (db *DB) Probe(ctx context.Context) error {
	err := db.Check(ctx)
	if Lost(err) {
		db.pool.SetMaxIdleConns(-1)
		db.pool.SetMaxIdleConns(db.conns)
	}
	return err
}

// Now returns what the clock of the server says.
func (db *DB) Now(ctx context.Context) (time.Time, error) {
	var micros int64
	err := db.pool.QueryRowContext(ctx, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).Scan(&micros)
	return time.UnixMicro(micros), db.explain(err)
}

// Close closes all connections.
func (db *DB) Close() error { return db.pool.Close() }
