package token_test

import (
	"errors"
	"testing"
	"time"

	"github.com/merlonhq/merlon/token"
)

// Two nodes whose clocks are ten minutes apart share a database. An access token of the one that is ahead is refused by
// the other until its time comes; the end of a login, and the use of a refresh token, count on both.
func TestClocksTenMinutesApart(t *testing.T) {
	const apart = 10 * time.Minute
	behind := newFixture(t, nil)
	cfg := behind.config()
	cfg.Now = func() time.Time { return behind.now.Add(apart) }
	ahead := startManager(t, cfg)
	begin := func(m *token.Manager) (token.Tokens, token.Grant) {
		t.Helper()
		tokens, g, err := m.Begin(t.Context(), token.Login{UserID: "usr_a"})
		if err != nil {
			t.Fatal(err)
		}
		return tokens, g
	}
	is := func(m *token.Manager, text string, at time.Time, refused bool) {
		t.Helper()
		_, _, err := m.Verify(t.Context(), text, at)
		if refusal := (*token.Refusal)(nil); refused != errors.As(err, &refusal) || !refused && err != nil {
			t.Errorf("Verify: %v, want it refused: %v", err, refused)
		}
	}
	permit := func(token.Grant) ([]string, error) { return nil, nil }

	tokens, g := begin(behind.Manager)
	is(ahead, tokens.Access, behind.now.Add(apart), false)
	is(ahead, tokens.Access, behind.now.Add(15*time.Minute-time.Second), false)
	is(ahead, tokens.Access, behind.now.Add(15*time.Minute), true) // five minutes too early for the other
	if err := ahead.Revoke(t.Context(), g.ID, "usr_a"); err != nil {
		t.Fatal(err)
	}
	is(behind.Manager, tokens.Access, behind.now, true)

	tokens, g = begin(ahead)
	is(behind.Manager, tokens.Access, behind.now, true)
	is(behind.Manager, tokens.Access, behind.now.Add(apart-token.Leeway-time.Second), true)
	is(behind.Manager, tokens.Access, behind.now.Add(apart-token.Leeway), false)
	// A refresh token is good for one use, on whichever node.
	next, _, err := behind.Refresh(t.Context(), tokens.Refresh, behind.now, permit)
	if err != nil {
		t.Fatal(err)
	}
	is(ahead, next.Access, behind.now.Add(apart), false)
	if _, _, err := ahead.Refresh(t.Context(), tokens.Refresh, behind.now.Add(apart), permit); err == nil {
		t.Error("a refresh token was good for two uses")
	}
	is(behind.Manager, next.Access, behind.now, true)
	if err := ahead.Revoke(t.Context(), g.ID, "usr_a"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("Revoke: %v, want that the login has ended with the second use", err)
	}
}
