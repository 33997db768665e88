package linear_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/merlonhq/merlon/store/sqlstore"
	"github.com/merlonhq/merlon/token"
)

// A tokenCall is a call about the tokens of one login.
type tokenCall struct {
	family int
	kind   string // "refresh", "verify" (an access token of the family), "revoke"
	token  int    // which refresh token
	next   int    // the number of the new one, of "refresh"
}

// A login is the family of its tokens: which refresh token is good, and whether it has ended.
type login struct {
	good  int
	ended bool
}

// tokenModel is what the tokens of a login may do, one call after the other: a refresh token is good once, and whoever
// comes with another than the good one ends them all. Answers are "ok", "reused" and "ended", "refused" where it is not
// told why, or "unknown".
func tokenModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Partition: byFamily(func(input any) int { return input.(tokenCall).family }),
		Init:      func() []any { return []any{login{}} },
		Step: func(state, input, output any) []any {
			before := state.(login)
			after, want := before.take(input.(tokenCall))
			if output == "refused" && want != "ok" {
				output = want
			}
			switch output {
			case "unknown":
				return []any{before, after}
			case want:
				return []any{after}
			}
			return nil
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %v", input, output) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
	}
	return m.ToModel()
}

// take returns the login after a call, and the answer.
func (l login) take(c tokenCall) (login, string) {
	if l.ended {
		return l, "ended"
	}
	switch c.kind {
	case "verify":
		return l, "ok"
	case "revoke":
		return login{l.good, true}, "ok"
	case "refresh":
		if c.token != l.good {
			return login{l.good, true}, "reused"
		}
		return login{c.next, false}, "ok"
	}
	panic("no such call: " + c.kind)
}

// A refresher is the manager of a node.
type refresher struct{ *token.Manager }

func tokenNodes(t *testing.T, keys []token.KeyStore, grants ...token.Store) []refresher {
	t.Helper()
	secret := make([]byte, 32)
	rand.Read(secret)
	var all []refresher
	for i, s := range grants {
		m, err := token.New(token.Config{Store: s, KeyStore: keys[i], Secret: secret, Issuer: "https://api.example.com",
			OnKeyError: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, refresher{m})
	}
	return all
}

// call makes the call on a node. A family has, beside its refresh tokens, the access token and the grant of the login
// as its member -1.
func (m refresher) call(t *testing.T, f *family, c tokenCall) string {
	ctx := context.Background()
	access, id := f.of(-1)
	switch c.kind {
	case "verify":
		_, _, err := m.Verify(ctx, access, time.Now())
		return saidOfTokens(t, err)
	case "revoke":
		return saidOfTokens(t, m.Revoke(ctx, id, "usr_a"))
	}
	text, _ := f.of(c.token)
	next, _, err := m.Refresh(ctx, text, time.Now(), func(g token.Grant) ([]string, error) { return g.Scopes, nil })
	if err == nil {
		f.born(c.next, next.Refresh, "")
	}
	return saidOfTokens(t, err)
}

func saidOfTokens(t *testing.T, err error) string {
	var r *token.Refusal
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, token.ErrNotFound):
		return "ended"
	case errors.As(err, &r):
		if r.Reason() == "unknown" { // the family is gone, and so is what it was known by
			return "ended"
		}
		return r.Reason()
	}
	t.Error(err)
	return "unknown"
}

// begin logs in and returns the family.
func (m refresher) begin(t *testing.T) *family {
	t.Helper()
	first, g, err := m.Begin(t.Context(), token.Login{UserID: "usr_a", Address: netip.IPv6Loopback()})
	if err != nil {
		t.Fatal(err)
	}
	f := newFamily(first.Refresh, g.ID)
	f.born(-1, first.Access, g.ID)
	return f
}

// refreshTokens returns the numbers of the refresh tokens that are known.
func refreshTokens(f *family) []int { return f.members()[1:] }

func useTokens(t *testing.T, nodes []refresher) *history {
	t.Helper()
	const logins = 60
	var families []*family
	for range logins {
		families = append(families, nodes[0].begin(t))
	}
	h := newHistory()
	together(clients, seed(t), func(client int, r *mathrand.Rand) {
		for f := range logins {
			for round := range 6 {
				c := tokenCall{family: f, kind: "verify"}
				switch n := r.IntN(100); {
				case n < 35:
					next, ok := families[f].draw()
					if !ok {
						continue
					}
					known := refreshTokens(families[f])
					c.kind, c.next, c.token = "refresh", next, known[len(known)-1]
					if r.IntN(10) == 0 {
						c.token = known[r.IntN(len(known))]
					}
				case n < 37 || round == 5:
					c.kind = "revoke"
				}
				h.add(client, c, func() (any, bool, time.Duration) { return nodes[client%len(nodes)].call(t, families[f], c), true, 0 })
			}
		}
	})
	return h
}

func TestRefreshTokensOfTwoNodes(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			h := useTokens(t, tokenNodes(t, []token.KeyStore{a.TokenKeys(), b.TokenKeys()}, a.Grants(), b.Grants()))
			if v := h.verdict(t, tokenModel()); v != porcupine.Ok {
				t.Errorf("%d calls: %v, want them linearizable", len(h.ops), v)
			}
			n := h.outcomes(func(op porcupine.Operation) string { return op.Input.(tokenCall).kind + ": " + op.Output.(string) })
			for _, some := range []string{"refresh: ok", "refresh: reused", "refresh: ended", "verify: ok", "verify: ended", "revoke: ok", "revoke: ended"} {
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
	// twice lets a refresh token be used again.
	twice struct{ *sqlstore.Grants }
	// spared refuses a token that comes again, and spares the family.
	spared struct{ *sqlstore.Grants }
	// unended forgets that a login was ended.
	unended struct{ *sqlstore.Grants }
)

func (twice) Rotate(context.Context, string, [sha256.Size]byte, [sha256.Size]byte, time.Time) error {
	return nil
}

func (s spared) Rotate(ctx context.Context, id string, old, next [sha256.Size]byte, at time.Time) error {
	if g, err := s.Get(ctx, id); err != nil || g.Hash != old {
		return errors.Join(err, token.ErrReused)
	}
	return s.Grants.Rotate(ctx, id, old, next, at)
}

func (unended) Delete(context.Context, string, string) error { return nil }

func TestRefreshTokensOfAWrongStoreAreNotLinearizable(t *testing.T) {
	for name, spoil := range map[string]func(*sqlstore.Grants) token.Store{
		"one that takes a token twice":        func(g *sqlstore.Grants) token.Store { return twice{g} },
		"one that spares the family":          func(g *sqlstore.Grants) token.Store { return spared{g} },
		"one that forgets the end of a login": func(g *sqlstore.Grants) token.Store { return unended{g} },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := engines["SQLite"](t)
			m := tokenNodes(t, []token.KeyStore{a.TokenKeys(), b.TokenKeys()}, a.Grants(), spoil(b.Grants()))
			h := newHistory()
			use := func(f *family, n, node int, c tokenCall) {
				c.family = n
				h.add(0, c, func() (any, bool, time.Duration) { return m[node].call(t, f, c), true, 0 })
			}
			used, ended := m[0].begin(t), m[0].begin(t)
			use(used, 0, 1, tokenCall{kind: "refresh", token: 0, next: 1})
			use(used, 0, 1, tokenCall{kind: "refresh", token: 0, next: 2})
			use(used, 0, 0, tokenCall{kind: "verify"})
			use(ended, 1, 1, tokenCall{kind: "revoke"})
			use(ended, 1, 0, tokenCall{kind: "verify"})
			if v := h.verdict(t, tokenModel()); v != porcupine.Illegal {
				t.Errorf("%v, want it found out: %v", v, h.ops)
			}
		})
	}
}

// racing looks whether the token is the good one, and then writes whatever is there by then.
type racing struct{ *sqlstore.Grants }

func (r racing) Rotate(ctx context.Context, id string, old, next [sha256.Size]byte, at time.Time) error {
	g, err := r.Get(ctx, id)
	if err != nil || g.Hash != old {
		return r.Grants.Rotate(ctx, id, old, next, at)
	}
	time.Sleep(5 * time.Millisecond)
	if g, err = r.Get(ctx, id); err != nil {
		return err
	}
	return r.Grants.Rotate(ctx, id, g.Hash, next, at)
}

// The clients find a race that no single one could find.
func TestARaceOfTwoNodesIsNotLinearizable(t *testing.T) {
	a, b := engines["SQLite"](t)
	h := useTokens(t, tokenNodes(t, []token.KeyStore{a.TokenKeys(), b.TokenKeys()}, racing{a.Grants()}, racing{b.Grants()}))
	if v := h.verdict(t, tokenModel()); v != porcupine.Illegal {
		t.Errorf("%d calls: %v, want it found out", len(h.ops), v)
	}
}
