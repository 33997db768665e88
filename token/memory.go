package token

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"
)

// Memory is a Store and a KeyStore in memory, for tests, demos and benchmarks: nothing survives the process. It holds a
// fixed number of grants and then refuses new ones with ErrFull.
type Memory struct {
	max int

	mu       sync.RWMutex
	byID     map[string]Grant
	byFamily map[[sha256.Size]byte]string   // to the ID
	byUser   map[string]map[string]struct{} // to the IDs
	keys     map[string]KeyRecord
}

var (
	_ Store    = (*Memory)(nil)
	_ KeyStore = (*Memory)(nil)
)

// NewMemory returns an empty store for at most max grants, at least 1.
func NewMemory(max int) (*Memory, error) {
	if max < 1 {
		return nil, errors.New("token: a memory store needs room for at least one grant")
	}
	return &Memory{
		max:      max,
		byID:     make(map[string]Grant),
		byFamily: make(map[[sha256.Size]byte]string),
		byUser:   make(map[string]map[string]struct{}),
		keys:     make(map[string]KeyRecord),
	}, nil
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, g Grant, max int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	_, idTaken := m.byID[g.ID]
	_, familyTaken := m.byFamily[g.Family]
	switch {
	case idTaken || familyTaken:
		return errors.New("token: the id or the family is taken")
	case len(m.byID) >= m.max && len(m.byUser[g.UserID]) < max:
		return ErrFull
	}
	g.Scopes = slices.Clone(g.Scopes)
	m.byID[g.ID] = g
	m.byFamily[g.Family] = g.ID
	if m.byUser[g.UserID] == nil {
		m.byUser[g.UserID] = make(map[string]struct{})
	}
	m.byUser[g.UserID][g.ID] = struct{}{}
	list := m.ofUser(g.UserID)
	slices.SortFunc(list, func(a, b Grant) int {
		return cmp.Or(b.RefreshedAt.Compare(a.RefreshedAt), cmp.Compare(b.ID, a.ID))
	})
	for _, old := range list[min(max, len(list)):] {
		m.remove(old)
	}
	return nil
}

func (m *Memory) ofUser(userID string) (list []Grant) {
	for id := range m.byUser[userID] {
		list = append(list, m.byID[id])
	}
	return list
}

func (m *Memory) remove(g Grant) {
	delete(m.byID, g.ID)
	delete(m.byFamily, g.Family)
	delete(m.byUser[g.UserID], g.ID)
	if len(m.byUser[g.UserID]) == 0 {
		delete(m.byUser, g.UserID)
	}
}

// Lookup implements Store.
func (m *Memory) Lookup(ctx context.Context, family [sha256.Size]byte) (Grant, error) {
	if err := ctx.Err(); err != nil {
		return Grant{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.get(m.byFamily[family])
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, id string) (Grant, error) {
	if err := ctx.Err(); err != nil {
		return Grant{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.get(id)
}

func (m *Memory) get(id string) (Grant, error) {
	g, ok := m.byID[id]
	if !ok {
		return Grant{}, ErrNotFound
	}
	g.Scopes = slices.Clone(g.Scopes)
	return g, nil
}

// List implements Store.
func (m *Memory) List(ctx context.Context, userID string, limit int) ([]Grant, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := m.ofUser(userID)
	slices.SortFunc(list, func(a, b Grant) int { return cmp.Compare(b.ID, a.ID) })
	list = list[:min(limit, len(list))]
	for i := range list {
		list[i].Scopes = slices.Clone(list[i].Scopes)
	}
	return list, nil
}

// Rotate implements Store.
func (m *Memory) Rotate(ctx context.Context, id string, old, next [sha256.Size]byte, at time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.byID[id]
	if !ok {
		return ErrNotFound
	}
	if g.Hash != old {
		m.remove(g)
		return ErrReused
	}
	g.Hash, g.RefreshedAt = next, at
	m.byID[id] = g
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, id, userID string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.byID[id]
	if !ok || g.UserID != userID {
		return ErrNotFound
	}
	m.remove(g)
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
	for _, g := range m.ofUser(userID) {
		if g.ID != except {
			m.remove(g)
			n++
		}
	}
	return n, nil
}

// Sweep implements Store.
func (m *Memory) Sweep(ctx context.Context, expiredBy time.Time, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, g := range m.byID {
		if n >= limit {
			break
		}
		if !g.ExpiresAt.After(expiredBy) {
			m.remove(g)
			n++
		}
	}
	return n, nil
}

// Keys implements KeyStore.
func (m *Memory) Keys(ctx context.Context, algorithm Algorithm) ([]KeyRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var list []KeyRecord
	for _, r := range m.keys {
		if r.Algorithm == algorithm {
			r.Sealed = slices.Clone(r.Sealed)
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b KeyRecord) int { return cmp.Compare(a.Number, b.Number) })
	return list, nil
}

// AddKey implements KeyStore.
func (m *Memory) AddKey(ctx context.Context, r KeyRecord) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.keys {
		if k.ID == r.ID || k.Algorithm == r.Algorithm && k.Number == r.Number {
			return ErrConflict
		}
	}
	r.Sealed = slices.Clone(r.Sealed)
	m.keys[r.ID] = r
	return nil
}

// ResealKey implements KeyStore.
func (m *Memory) ResealKey(ctx context.Context, id, from, secretID string, sealed []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.keys[id]
	if !ok || r.SecretID != from {
		return ErrConflict
	}
	r.SecretID, r.Sealed = secretID, slices.Clone(sealed)
	m.keys[id] = r
	return nil
}

// DeleteKey implements KeyStore.
func (m *Memory) DeleteKey(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, id)
	return nil
}
