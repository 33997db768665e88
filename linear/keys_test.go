package linear_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/store/sqlstore"
)

const (
	owners  = 12
	clients = 6
	rounds  = 12
)

// keyNodes makes a manager for each store. They keep no verdicts: what is checked is the store and the changes. The
// bound of a verdict that is kept is in TestKeysOfTwoProcesses.
func keyNodes(t *testing.T, stores ...apikey.Store) []*apikey.Manager {
	t.Helper()
	var all []*apikey.Manager
	for _, s := range stores {
		m, err := apikey.New(apikey.Config{Store: s, CacheTTL: -1})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// useKeys lets clients of all nodes rotate, revoke and verify the keys of some owners, and then revoke and verify all.
func useKeys(t *testing.T, nodes []*apikey.Manager) *history {
	t.Helper()
	var families []*family
	for f := range owners {
		text, r, err := nodes[0].Create(t.Context(), apikey.NewKey{Owner: owner(f), Name: "first"})
		if err != nil {
			t.Fatal(err)
		}
		families = append(families, newFamily(text, r.ID))
	}
	h := newHistory()
	together(clients, seed(t), func(client int, r *rand.Rand) {
		use := func(f int, c keyCall) {
			c.family = f
			h.add(client, c, func() (any, bool, time.Duration) {
				return callKeys(t, nodes[client%len(nodes)], families[f], c), true, 0
			})
		}
		for f := range owners {
			for range rounds {
				c := keyCall{key: families[f].pick(r), atOnce: r.IntN(2) == 0}
				switch n := r.IntN(100); {
				case n < 50:
					c.kind = "verify"
				case n < 92:
					next, ok := families[f].draw()
					if !ok {
						continue
					}
					c.kind, c.next = "rotate", next
				case n < 98:
					c.kind = "revoke"
				default:
					c.kind = "revoke owner"
				}
				use(f, c)
			}
			for _, n := range families[f].members() {
				use(f, keyCall{kind: "revoke", key: n})
				use(f, keyCall{kind: "verify", key: n})
			}
		}
	})
	return h
}

func owner(f int) string { return fmt.Sprintf("usr_%d", f) }

// callKeys makes the call on a node.
func callKeys(t *testing.T, m *apikey.Manager, f *family, c keyCall) keyAnswer {
	ctx := context.Background()
	text, id := f.of(c.key)
	switch c.kind {
	case "verify":
		_, err := m.Verify(ctx, text, netip.IPv6Loopback(), time.Now())
		return keyAnswer{said: said(t, err)}
	case "rotate":
		overlap := 24 * time.Hour
		if c.atOnce {
			overlap = 0
		}
		text, next, err := m.Rotate(ctx, apikey.Rotation{ID: id, Owner: owner(c.family), Overlap: &overlap})
		if err == nil {
			f.born(c.next, text, next.ID)
		}
		return keyAnswer{said: said(t, err)}
	case "revoke":
		return keyAnswer{said: said(t, m.Revoke(ctx, id, owner(c.family)))}
	}
	n, err := m.RevokeOwner(ctx, owner(c.family))
	return keyAnswer{said(t, err), n}
}

// said names an answer. Anything else than an answer fails the test: the stores are well.
func said(t *testing.T, err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, apikey.ErrNotFound):
		return "not found"
	case errors.Is(err, apikey.ErrConflict):
		return "conflict"
	case errors.Is(err, apikey.ErrRevoked):
		return "revoked"
	case errors.Is(err, apikey.ErrExpired):
		return "expired"
	}
	t.Error(err)
	return "unknown"
}

func TestKeysOfTwoNodes(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			h := useKeys(t, keyNodes(t, a.Keys(), b.Keys()))
			if v := h.verdict(t, keyModel()); v != porcupine.Ok {
				t.Errorf("%d calls: %v, want them linearizable", len(h.ops), v)
			}
			n := h.outcomes(func(op porcupine.Operation) string {
				return op.Input.(keyCall).kind + ": " + op.Output.(keyAnswer).said
			})
			for _, some := range []string{"verify: ok", "verify: revoked", "verify: expired", "rotate: ok", "rotate: conflict", "rotate: not found",
				"revoke: ok", "revoke: not found", "revoke owner: ok"} {
				if n[some] == 0 {
					t.Errorf("no call was answered %q: %v", some, n)
				}
			}
			t.Logf("%d calls: %v", len(h.ops), n)
		})
	}
}

// Stores that are wrong.
type (
	// forgetful forgets that a key was revoked.
	forgetful struct{ *sqlstore.Keys }
	// late reads what a key was when it was read for the first time.
	late struct {
		*sqlstore.Keys
		seen map[string]apikey.Record
	}
	// generous lets a key be replaced again: it looks, and does not look while it writes.
	generous struct{ *sqlstore.Keys }
)

func (forgetful) Revoke(context.Context, string, time.Time) error { return nil }

func (l late) Lookup(ctx context.Context, lookup string) (apikey.Record, error) {
	if r, ok := l.seen[lookup]; ok {
		return r, nil
	}
	r, err := l.Keys.Lookup(ctx, lookup)
	l.seen[lookup] = r
	return r, err
}

func (g generous) Rotate(ctx context.Context, old, next apikey.Record) error {
	return g.Create(ctx, next, 1000)
}

// What is wrong is found: on one of two nodes is enough.
func TestKeysOfAWrongStoreAreNotLinearizable(t *testing.T) {
	for name, spoil := range map[string]func(*sqlstore.Keys) apikey.Store{
		"one that forgets a revocation": func(k *sqlstore.Keys) apikey.Store { return forgetful{k} },
		"one that reads once":           func(k *sqlstore.Keys) apikey.Store { return late{k, map[string]apikey.Record{}} },
		"one that replaces a key twice": func(k *sqlstore.Keys) apikey.Store { return generous{k} },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := engines["SQLite"](t)
			m := keyNodes(t, a.Keys(), spoil(b.Keys()))
			text, r, err := m[0].Create(t.Context(), apikey.NewKey{Owner: owner(0), Name: "first"})
			if err != nil {
				t.Fatal(err)
			}
			f := newFamily(text, r.ID)
			h := newHistory()
			for i, c := range []keyCall{
				{kind: "verify"}, {kind: "rotate", next: 1}, {kind: "rotate", next: 2}, {kind: "revoke"}, {kind: "verify"}, {kind: "verify"},
			} {
				// The first node is right. It is the second that reads first, rotates first and revokes.
				h.add(0, c, func() (any, bool, time.Duration) { return callKeys(t, m[[]int{1, 1, 0, 1, 0, 1}[i]], f, c), true, 0 })
			}
			if v := h.verdict(t, keyModel()); v != porcupine.Illegal {
				t.Errorf("%v, want it found out: %v", v, h.ops)
			}
		})
	}
}
