package revocation

import (
	"context"
	"errors"
	"sync"
)

// A Kind says what was revoked or changed.
type Kind string

// The kinds, and the name that a [Change] of each has.
const (
	Key     Kind = "key"     // the look-up id of an API key
	Session Kind = "session" // the SHA-256 of a session's token, hexadecimal
	Grant   Kind = "grant"   // the id of a family of tokens
	Account Kind = "account" // the id of an account
	All     Kind = "all"     // none: a transaction changed more than is told one by one
)

// A Change is something that may have lost a right. Kinds that a program does not know are of a newer one.
type Change struct {
	Seq  int64
	Kind Kind
	Name string
}

// ErrGap: the log does not reach back as far as was asked, or not up to there.
var ErrGap = errors.New("revocation: the log has a gap")

// A Log holds the last changes. revocationtest.Run checks an implementation against what stands here. Methods may be
// called concurrently and must return when ctx is done. Every error but ErrGap is taken for an outage.
type Log interface {
	// Latest returns the number of the last change, 0 before the first one.
	Latest(ctx context.Context) (int64, error)

	// Since returns the changes after the number seq, in order and without a gap. What it returns was committed, and
	// no later change gets a number that is as low as one of them. ErrGap when it cannot.
	Since(ctx context.Context, seq int64) ([]Change, error)
}

// Memory is a [Log] in memory, for one process.
type Memory struct {
	max int

	mu   sync.Mutex
	last int64
	log  []Change // of the last numbers
}

var _ Log = (*Memory)(nil)

// NewMemory returns a log of at most max changes, at least 1.
func NewMemory(max int) (*Memory, error) {
	if max < 1 {
		return nil, errors.New("revocation: a log needs room for at least one change")
	}
	return &Memory{max: max}, nil
}

// Add puts a change into the log.
func (m *Memory) Add(kind Kind, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last++
	if len(m.log) == m.max {
		m.log = append(m.log[:0], m.log[1:]...)
	}
	m.log = append(m.log, Change{m.last, kind, name})
}

// Latest implements [Log].
func (m *Memory) Latest(ctx context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last, ctx.Err()
}

// Since implements [Log].
func (m *Memory) Since(ctx context.Context, seq int64) ([]Change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	after := m.last - seq
	if after < 0 || after > int64(len(m.log)) {
		return nil, ErrGap
	}
	return append([]Change(nil), m.log[len(m.log)-int(after):]...), nil
}
