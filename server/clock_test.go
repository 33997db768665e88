package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/csrf"
	"github.com/merlonhq/merlon/session"
	"github.com/merlonhq/merlon/token"
)

func TestAClockThatDiffersIsToldOfOnce(t *testing.T) {
	var log bytes.Buffer
	var recorded []audit.Event
	here, there := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), time.Time{}
	took := time.Duration(0)
	var away error
	c := &clockWatch{
		here:   func() time.Time { return here },
		there:  func(context.Context) (time.Time, error) { here = here.Add(took); return there, away },
		log:    slog.New(slog.NewTextHandler(&log, nil)),
		record: func(e audit.Event) { recorded = append(recorded, e) },
	}
	for _, tt := range []struct {
		name        string
		there, took time.Duration // of the database, from here
		away        error
		events      int
		logged      string
	}{
		{"the same", 0, 0, nil, 0, ""},
		{"five seconds behind", 5 * time.Second, 0, nil, 0, ""},
		{"five seconds ahead", -5 * time.Second, 0, nil, 0, ""},
		{"more, but the answer took so long", 6 * time.Second, 2 * time.Second, nil, 0, ""},
		{"more than five seconds behind", 6 * time.Second, 0, nil, 1, "ahead_by=-6s"},
		{"ten minutes behind, which was told", 10 * time.Minute, 0, nil, 1, ""},
		{"a database that is away", 0, 0, errors.New("away"), 1, ""},
		{"the same again", 0, 0, nil, 1, "agree again"},
		{"ten minutes ahead", -10 * time.Minute, 0, nil, 2, "ahead_by=10m0s"},
	} {
		log.Reset()
		there, took, away = here.Add(tt.there), tt.took, tt.away
		c.check(t.Context())
		if len(recorded) != tt.events || (log.Len() > 0) != (tt.logged != "") || !strings.Contains(log.String(), tt.logged) {
			t.Errorf("%s: %d events, want %d, and the log %q, want %q", tt.name, len(recorded), tt.events, log.String(), tt.logged)
		}
	}
	if e := recorded[1]; e.Type != audit.SysMisconfigured || e.Detail[0].Value.String() != "merlon.N141" || e.Detail[1].Value.Int64() != 600 {
		t.Errorf("the event is %+v", e)
	}
	if got := time.Duration(c.offset.Load()); got != 10*time.Minute {
		t.Errorf("the offset is %v", got)
	}
}

// What two nodes do whose clocks are ten minutes apart: docs/operating.md tells of each. Nothing lives longer than its
// life and the difference, and nothing that ended begins again.
func TestTenMinutesBetweenTwoClocks(t *testing.T) {
	const apart = 10 * time.Minute
	ahead := time.Date(2026, 3, 1, 12, 10, 0, 0, time.UTC) // of a node that makes things
	behind := ahead.Add(-apart)                            // of one that is asked, at the same instant
	clock := func() time.Time { return ahead }
	secret := make([]byte, 32)
	rand.Read(secret)

	t.Run("access tokens are refused for as long as they seem to be of the future", func(t *testing.T) {
		memory, err := token.NewMemory(10)
		if err != nil {
			t.Fatal(err)
		}
		m, err := token.New(token.Config{Store: memory, KeyStore: memory, Secret: secret, Issuer: "https://api.example.com", Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		tokens, _, err := m.Begin(t.Context(), token.Login{UserID: "usr_a"})
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name   string
			after  time.Duration // on the clock that is behind
			reason string
		}{
			{"at once", 0, "not_yet_valid"},
			{"after nine minutes", 9 * time.Minute, "not_yet_valid"},
			{"after ten minutes", apart, ""},
			{"to the end of its life, ten minutes late", apart + 15*time.Minute - time.Second, ""},
			{"then", apart + 15*time.Minute, "expired"},
		} {
			_, _, err := m.Verify(t.Context(), tokens.Access, behind.Add(tt.after))
			got := ""
			var refused *token.Refusal
			if errors.As(err, &refused) {
				got = refused.Reason()
			}
			if got != tt.reason || (err == nil) != (tt.reason == "") {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.reason)
			}
		}
		// A refresh token is good at once: it has an end and no beginning.
		if _, _, err := m.Refresh(t.Context(), tokens.Refresh, behind, func(g token.Grant) ([]string, error) { return g.Scopes, nil }); err != nil {
			t.Errorf("a refresh token: %v", err)
		}
	})
	t.Run("sessions begin at once and end late", func(t *testing.T) {
		memory, err := session.NewMemory(10)
		if err != nil {
			t.Fatal(err)
		}
		m, err := session.New(session.Config{Store: memory, Now: clock, IdleTimeout: 30 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		text, _, err := m.Create(t.Context(), "usr_a", session.Meta{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Verify(t.Context(), text, behind.Add(apart+30*time.Minute)); err == nil {
			t.Error("a session is alive when its idle time has passed on either clock")
		}
		if _, err := m.Verify(t.Context(), text, behind); err != nil {
			t.Errorf("at once: %v", err)
		}
	})
	t.Run("API keys begin at once and end late", func(t *testing.T) {
		memory, err := apikey.NewMemory(10)
		if err != nil {
			t.Fatal(err)
		}
		m, err := apikey.New(apikey.Config{Store: memory, Now: clock, CacheTTL: -1})
		if err != nil {
			t.Fatal(err)
		}
		end := ahead.Add(time.Hour)
		text, _, err := m.Create(t.Context(), apikey.NewKey{Owner: "usr_a", Name: "x", ExpiresAt: &end})
		if err != nil {
			t.Fatal(err)
		}
		for after, want := range map[time.Duration]error{0: nil, apart + time.Hour - time.Second: nil, apart + time.Hour: apikey.ErrExpired} {
			if _, err := m.Verify(t.Context(), text, netip.IPv6Loopback(), behind.Add(after)); !errors.Is(err, want) {
				t.Errorf("after %v: %v, want %v", after, err, want)
			}
		}
	})
	t.Run("CSRF tokens are good at once and end late", func(t *testing.T) {
		p, err := csrf.New(csrf.Config{Key: secret, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := p.Issue(csrf.Session("ses_a"), ahead)
		for after, want := range map[time.Duration]error{0: nil, apart + time.Hour - time.Second: nil, apart + time.Hour + time.Second: csrf.ErrExpired} {
			if err := p.Verify(text, csrf.Session("ses_a"), behind.Add(after)); !errors.Is(err, want) {
				t.Errorf("after %v: %v, want %v", after, err, want)
			}
		}
	})
}
