package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"
)

// Memory is a Store in memory, for tests, demos and benchmarks: nothing survives the process. It holds a fixed number
// of records and then refuses new ones with ErrFull.
type Memory struct {
	max int

	mu     sync.RWMutex
	byID   map[string]Record
	byHash map[[sha256.Size]byte]string   // to the ID
	byUser map[string]map[string]struct{} // to the IDs
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store for at most max records, at least 1.
func NewMemory(max int) (*Memory, error) {
	if max < 1 {
		return nil, errors.New("session: a memory store needs room for at least one record")
	}
	return &Memory{
		max:    max,
		byID:   make(map[string]Record),
		byHash: make(map[[sha256.Size]byte]string),
		byUser: make(map[string]map[string]struct{}),
	}, nil
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.byID) >= m.max {
		return ErrFull
	}
	return m.add(r)
}

func (m *Memory) add(r Record) error {
	if _, taken := m.byID[r.ID]; taken {
		return errors.New("session: the id is taken")
	}
	if _, taken := m.byHash[r.Hash]; taken {
		return errors.New("session: the hash is taken")
	}
	m.byID[r.ID] = r
	m.byHash[r.Hash] = r.ID
	if m.byUser[r.UserID] == nil {
		m.byUser[r.UserID] = make(map[string]struct{})
	}
	m.byUser[r.UserID][r.ID] = struct{}{}
	return nil
}

func (m *Memory) remove(r Record) {
	delete(m.byID, r.ID)
	delete(m.byHash, r.Hash)
	delete(m.byUser[r.UserID], r.ID)
	if len(m.byUser[r.UserID]) == 0 {
		delete(m.byUser, r.UserID)
	}
}

// Lookup implements Store.
func (m *Memory) Lookup(ctx context.Context, hash [sha256.Size]byte) (Record, error) {
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.byID[m.byHash[hash]]
	if !ok {
		return Record{}, ErrNotFound
	}
	return r, nil
}

// List implements Store.
func (m *Memory) List(ctx context.Context, userID string, limit int) ([]Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var list []Record
	for id := range m.byUser[userID] {
		list = append(list, m.byID[id])
	}
	slices.SortFunc(list, func(a, b Record) int { return cmp.Compare(b.ID, a.ID) })
	return list[:min(limit, len(list))], nil
}

// Replace implements Store.
func (m *Memory) Replace(ctx context.Context, oldID string, next Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.byID[oldID]
	if !ok {
		return ErrNotFound
	}
	if err := m.add(next); err != nil {
		return err
	}
	m.remove(old)
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, id, userID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.byID[id]
	if !ok || r.UserID != userID {
		return ErrNotFound
	}
	m.remove(r)
	return nil
}

// DeleteUser implements Store.
func (m *Memory) DeleteUser(ctx context.Context, userID, except string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for id := range m.byUser[userID] {
		if id != except {
			m.remove(m.byID[id])
			n++
		}
	}
	return n, nil
}

// Touch implements Store.
func (m *Memory) Touch(ctx context.Context, seen []Seen) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range seen {
		if r, ok := m.byID[s.ID]; ok && s.At.After(r.LastSeenAt) {
			r.LastSeenAt = s.At
			m.byID[s.ID] = r
		}
	}
	return nil
}

// Sweep implements Store.
func (m *Memory) Sweep(ctx context.Context, seenBefore, createdBefore time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, r := range m.byID {
		if n >= limit {
			break
		}
		if !r.LastSeenAt.After(seenBefore) || !r.CreatedAt.After(createdBefore) {
			m.remove(r)
			n++
		}
	}
	return n, nil
}
