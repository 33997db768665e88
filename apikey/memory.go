package apikey

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Memory is a Store in memory, for tests, demos and benchmarks: nothing survives the process, and listing reads all
// records. It holds a fixed number of records and then refuses new ones with ErrFull.
type Memory struct {
	max int

	mu       sync.RWMutex
	byID     map[string]*Record
	byLookup map[string]*Record
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store for at most max records, at least 1.
func NewMemory(max int) (*Memory, error) {
	if max < 1 {
		return nil, errors.New("apikey: a memory store needs room for at least one record")
	}
	return &Memory{max: max, byID: make(map[string]*Record), byLookup: make(map[string]*Record)}, nil
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, r Record, max int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.count(r.Owner) >= max {
		return ErrTooMany
	}
	return m.add(r)
}

func (m *Memory) add(r Record) error {
	if m.byID[r.ID] != nil || m.byLookup[r.Lookup] != nil {
		return ErrConflict
	}
	if len(m.byID) >= m.max {
		return ErrFull
	}
	c := r.Clone()
	m.byID[r.ID], m.byLookup[r.Lookup] = &c, &c
	return nil
}

// Lookup implements Store.
func (m *Memory) Lookup(ctx context.Context, lookup string) (Record, error) {
	return m.read(ctx, m.byLookup, lookup)
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, id string) (Record, error) {
	return m.read(ctx, m.byID, id)
}

func (m *Memory) read(ctx context.Context, index map[string]*Record, key string) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := index[key]
	if r == nil {
		return Record{}, ErrNotFound
	}
	return r.Clone(), nil
}

// List implements Store.
func (m *Memory) List(ctx context.Context, owner, before string, limit int) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []*Record
	for _, r := range m.byID {
		if (owner == "" || r.Owner == owner) && r.RevokedAt == nil && (before == "" || r.ID < before) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *Record) int { return cmp.Compare(b.ID, a.ID) })
	list := make([]Record, 0, min(limit, len(found)))
	for _, r := range found[:min(limit, len(found))] {
		list = append(list, r.Clone())
	}
	return list, nil
}

// Count implements Store.
func (m *Memory) Count(ctx context.Context, owner string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.count(owner), nil
}

func (m *Memory) count(owner string) int {
	n := 0
	for _, r := range m.byID {
		if r.Owner == owner && r.RevokedAt == nil && r.ReplacedAt == nil {
			n++
		}
	}
	return n
}

// Update implements Store.
func (m *Memory) Update(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, err := m.current(r)
	if err != nil {
		return err
	}
	c := r.Clone()
	old.Name, old.Scopes, old.Enabled, old.ExpiresAt = c.Name, c.Scopes, c.Enabled, c.ExpiresAt
	old.AllowedAddresses, old.RateLimit = c.AllowedAddresses, c.RateLimit
	old.Version++
	return nil
}

// current returns the stored record that r is a version of.
func (m *Memory) current(r Record) (*Record, error) {
	stored := m.byID[r.ID]
	switch {
	case stored == nil || stored.RevokedAt != nil:
		return nil, ErrNotFound
	case stored.Version != r.Version:
		return nil, ErrConflict
	}
	return stored, nil
}

// Rotate implements Store.
func (m *Memory) Rotate(ctx context.Context, old, next Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	stored, err := m.current(old)
	if err != nil {
		return err
	}
	if stored.ReplacedAt != nil {
		return ErrConflict
	}
	if err := m.add(next); err != nil {
		return err
	}
	c := old.Clone()
	stored.RotatedTo, stored.ReplacedAt, stored.ExpiresAt = c.RotatedTo, c.ReplacedAt, c.ExpiresAt
	stored.Version++
	return nil
}

// Revoke implements Store.
func (m *Memory) Revoke(ctx context.Context, id string, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.byID[id]
	if r == nil || r.RevokedAt != nil {
		return ErrNotFound
	}
	r.RevokedAt = &at
	return nil
}

// RevokeOwner implements Store.
func (m *Memory) RevokeOwner(ctx context.Context, owner string, at time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.byID {
		if r.Owner == owner && r.RevokedAt == nil {
			r.RevokedAt = &at
			n++
		}
	}
	return n, nil
}

// Touch implements Store.
func (m *Memory) Touch(ctx context.Context, uses []Use) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range uses {
		if r := m.byID[u.ID]; r != nil {
			r.LastUsedAt = later(r.LastUsedAt, &u.At)
		}
	}
	return nil
}

// Sweep implements Store.
func (m *Memory) Sweep(ctx context.Context, before time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for id, r := range m.byID {
		if n >= limit {
			break
		}
		if r.RevokedAt != nil && r.RevokedAt.Before(before) || r.ExpiresAt != nil && r.ExpiresAt.Before(before) {
			delete(m.byID, id)
			delete(m.byLookup, r.Lookup)
			n++
		}
	}
	return n, nil
}
