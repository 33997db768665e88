package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// maxStmts is how many statements a handle keeps prepared. A program has fewer; one that builds statements must not
// fill the memory of every connection.
const maxStmts = 256

// A handle is a database with the statements that are prepared on it.
type handle struct {
	db      *sql.DB
	prepare bool // whether to keep statements prepared
	mu      sync.RWMutex
	stmts   map[string]*sql.Stmt
}

// A stmt is a statement that can be run, prepared or not.
type stmt interface {
	ExecContext(ctx context.Context, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, args ...any) *sql.Row
}

// stmt returns query prepared.
func (h *handle) stmt(ctx context.Context, query string) (stmt, error) {
	if !h.prepare {
		return unprepared{h.db, query}, nil
	}
	h.mu.RLock()
	s, n := h.stmts[query], len(h.stmts)
	h.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	if n >= maxStmts {
		return unprepared{h.db, query}, nil
	}
	made, err := h.db.PrepareContext(ctx, query) // outside of the lock: it may wait for a connection
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.stmts[query]; s != nil { // another was faster
		made.Close()
		return s, nil
	}
	if h.stmts == nil {
		h.stmts = make(map[string]*sql.Stmt)
	}
	h.stmts[query] = made
	return made, nil
}

// A querier is a handle or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type unprepared struct {
	db    querier
	query string
}

func (u unprepared) ExecContext(ctx context.Context, args ...any) (sql.Result, error) {
	return u.db.ExecContext(ctx, u.query, args...)
}

func (u unprepared) QueryContext(ctx context.Context, args ...any) (*sql.Rows, error) {
	return u.db.QueryContext(ctx, u.query, args...)
}

func (u unprepared) QueryRowContext(ctx context.Context, args ...any) *sql.Row {
	return u.db.QueryRowContext(ctx, u.query, args...)
}
