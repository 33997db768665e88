package token_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/token"
)

// kid returns the kid of an access token.
func kid(t *testing.T, access string) string {
	t.Helper()
	header, err := b64.DecodeString(access[:strings.IndexByte(access, '.')])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(header, &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

func published(t *testing.T, m *token.Manager) (kids []string) {
	t.Helper()
	jwks, err := m.JWKS()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Keys []struct{ Kid, X string } }
	if err := json.Unmarshal(jwks, &doc); err != nil {
		t.Fatal(err)
	}
	for _, k := range doc.Keys {
		// RFC 7638 section 3.2: the required members, in this order.
		sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + k.X + `"}`))
		if k.Kid != b64.EncodeToString(sum[:]) {
			t.Errorf("the name of a key is %s, want its thumbprint", k.Kid)
		}
		kids = append(kids, k.Kid)
	}
	return kids
}

func TestAKeySignsForNinetyDaysAndVerifiesUntilItsLastTokenIsOver(t *testing.T) {
	f := newFixture(t, func(c *token.Config) { c.AccessTTL, c.RefreshTTL = time.Hour, 2160*time.Hour })
	// again is what a process does once a minute.
	again := func(at time.Time) {
		t.Helper()
		f.now = at
		if err := f.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	const day = 24 * time.Hour
	first, _ := f.begin(t, "usr_a")
	again(noon.Add(89*day - time.Second))
	if got := published(t, f.Manager); len(got) != 1 {
		t.Fatalf("%d keys before the notice, want 1", len(got))
	}
	again(noon.Add(89 * day))
	kids := published(t, f.Manager)
	if len(kids) != 2 || kids[0] != kid(t, first.Access) {
		t.Fatalf("published are %v, want the first key and its successor", kids)
	}
	f.now = noon.Add(90*day - time.Microsecond)
	last, _ := f.begin(t, "usr_a")
	f.now = noon.Add(90 * day)
	next, _ := f.begin(t, "usr_a")
	if kid(t, last.Access) != kids[0] || kid(t, next.Access) != kids[1] {
		t.Errorf("before its end signs %s, after it %s; want %v", kid(t, last.Access), kid(t, next.Access), kids)
	}
	again(noon.Add(90*day + time.Hour - 2*time.Second))
	f.verify(t, last.Access, "")
	again(noon.Add(90*day + 70*time.Minute - time.Second))
	if got := published(t, f.Manager); len(got) != 2 {
		t.Errorf("published are %v, want both", got)
	}
	f.verify(t, last.Access, "expired")
	again(noon.Add(90*day + 70*time.Minute))
	if got := published(t, f.Manager); len(got) != 1 || got[0] != kids[1] {
		t.Errorf("published are %v, want the second", got)
	}
	f.verify(t, last.Access, "key")
	if records, err := f.memory.Keys(t.Context(), token.EdDSA); err != nil || len(records) != 1 {
		t.Errorf("%d keys are stored (%v), want 1", len(records), err)
	}
	// A process that slept through the end gives notice all the same.
	again(noon.Add(400 * day))
	if got := published(t, f.Manager); len(got) != 2 {
		t.Errorf("published are %v", got)
	}
	woken, _ := f.begin(t, "usr_a")
	if kid(t, woken.Access) != kids[1] {
		t.Error("a key signs that nobody had notice of")
	}
}

func TestProcessesThatStartAtOnceAgreeOnAKey(t *testing.T) {
	f := newFixture(t, nil)
	memory := newMemory(t, 10)
	managers := make([]*token.Manager, 8)
	var wg sync.WaitGroup
	for i := range managers {
		wg.Go(func() {
			cfg := f.config()
			cfg.Store, cfg.KeyStore = memory, memory
			managers[i] = startManager(t, cfg)
		})
	}
	wg.Wait()
	records, err := memory.Keys(t.Context(), token.EdDSA)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d keys, %v", len(records), err)
	}
	for i, m := range managers {
		tokens, _, err := m.Begin(t.Context(), token.Login{UserID: "usr_a"})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := managers[(i+1)%len(managers)].Verify(t.Context(), tokens.Access, noon); err != nil {
			t.Errorf("another process: %v", err)
		}
	}
}

func TestSigningKeysAreStoredEncryptedUnderTheSecret(t *testing.T) {
	for _, algorithm := range []token.Algorithm{token.EdDSA, token.ES256, token.HS256} {
		f := newFixture(t, func(c *token.Config) { c.Algorithm = algorithm })
		records, err := f.memory.Keys(t.Context(), algorithm)
		if err != nil || len(records) != 1 {
			t.Fatal(len(records), err)
		}
		r := records[0]
		if len(r.SecretID) != 16 || bytes.Contains(f.secret, []byte(r.SecretID)) || len(r.Sealed) < 32+28 {
			t.Errorf("the record is %+v", r)
		}
		// Whatever of it is changed, it opens no more: a key that somebody writes into the store is not used.
		for what, change := range map[string]func(*token.KeyRecord){
			"its id":         func(r *token.KeyRecord) { r.ID = "." + r.ID[1:] }, // no character of an id
			"its number":     func(r *token.KeyRecord) { r.Number++ },
			"its beginning":  func(r *token.KeyRecord) { r.SignsFrom = r.SignsFrom.Add(-time.Second) },
			"a byte of it":   func(r *token.KeyRecord) { r.Sealed = append([]byte(nil), r.Sealed...); r.Sealed[20] ^= 1 },
			"all but a byte": func(r *token.KeyRecord) { r.Sealed = r.Sealed[:1] },
			"all of it":      func(r *token.KeyRecord) { r.Sealed = nil },
			"nothing":        func(*token.KeyRecord) {},
		} {
			memory := newMemory(t, 10)
			changed := r
			change(&changed)
			if err := memory.AddKey(t.Context(), changed); err != nil {
				t.Fatal(err)
			}
			cfg := f.config()
			cfg.Algorithm, cfg.KeyStore = algorithm, memory
			var told error
			cfg.OnKeyError = func(err error) { told = err }
			m := startManager(t, cfg)
			if (told == nil) != (what == "nothing") {
				t.Errorf("%s, with %s changed: told is %v", algorithm, what, told)
			}
			tokens, _, err := m.Begin(t.Context(), token.Login{UserID: "usr_a"})
			if err != nil {
				t.Fatalf("a new key was not made: %v", err)
			}
			if same := kid(t, tokens.Access) == r.ID; same != (what == "nothing") {
				t.Errorf("%s, with %s changed: the same key signs: %v", algorithm, what, same)
			}
		}
	}
}

func TestTheSecretIsChangedWithoutEndingTokens(t *testing.T) {
	f := newFixture(t, nil)
	tokens, _ := f.begin(t, "usr_a")
	old, err := f.memory.Keys(t.Context(), token.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	cfg := f.config()
	cfg.Secret, cfg.PreviousSecrets = newSecret(), [][]byte{newSecret(), f.secret}
	f.Manager = startManager(t, cfg)
	f.verify(t, tokens.Access, "")
	now, err := f.memory.Keys(t.Context(), token.EdDSA)
	if err != nil || len(now) != 1 || now[0].SecretID == old[0].SecretID || bytes.Equal(now[0].Sealed, old[0].Sealed) || now[0].ID != old[0].ID {
		t.Fatalf("the key was not encrypted anew: %+v, %v", now, err)
	}
	cfg.PreviousSecrets = nil // the rotation is over
	f.Manager = startManager(t, cfg)
	f.verify(t, tokens.Access, "")

	// A secret that was replaced without telling the former one: a new key, and families go on.
	cfg.Secret = newSecret()
	var told error
	cfg.OnKeyError = func(err error) { told = err }
	f.Manager = startManager(t, cfg)
	if told == nil || !strings.Contains(told.Error(), "secret") {
		t.Errorf("told is %v, want the key that cannot be opened", told)
	}
	f.verify(t, tokens.Access, "key")
	next := f.refresh(t, tokens.Refresh, "")
	f.verify(t, next.Access, "")
}

func TestTheKeysOfAnotherSecretAreKeptWhereThereIsOne(t *testing.T) {
	f := newFixture(t, func(c *token.Config) { c.OneSecret = true })
	tokens, _ := f.begin(t, "usr_a")
	before, err := f.memory.Keys(t.Context(), token.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	cfg := f.config()
	cfg.OneSecret, cfg.Secret = true, newSecret()
	other, err := token.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(t.Context()); !errors.Is(err, token.ErrOtherSecret) {
		t.Fatalf("Start with another secret: %v, want ErrOtherSecret", err)
	}
	after, err := f.memory.Keys(t.Context(), token.EdDSA)
	if err != nil || len(after) != 1 || after[0].ID != before[0].ID {
		t.Fatalf("the keys after it are %+v, %v, want what was there", after, err)
	}
	f.verify(t, tokens.Access, "")

	// The nearest that is allowed: it knows the former secret.
	cfg.PreviousSecrets = [][]byte{f.secret}
	f.Manager = startManager(t, cfg)
	f.verify(t, tokens.Access, "")
	// The one who knows the former secret only is the stranger now, and one may have lost it.
	lost := f.config()
	lost.OneSecret = true
	if other, err = token.New(lost); err != nil {
		t.Fatal(err)
	}
	if err := other.Start(t.Context()); !errors.Is(err, token.ErrOtherSecret) {
		t.Errorf("Start with the former secret: %v, want ErrOtherSecret", err)
	}
	if n, err := f.DropForeign(t.Context()); err != nil || n != 0 {
		t.Errorf("%d keys of others (%v), want none of the own dropped", n, err)
	}
	if n, err := other.DropForeign(t.Context()); err != nil || n != 1 {
		t.Fatalf("%d keys dropped (%v), want 1", n, err)
	}
	if err := other.Start(t.Context()); err != nil {
		t.Fatalf("Start after that: %v", err)
	}
	f.Manager = other
	f.verify(t, tokens.Access, "key")
	f.refresh(t, tokens.Refresh, "")
}

// While a new secret goes round, those who have it and those who will both know both.
func TestASecretIsChangedOnOneNodeAfterTheOther(t *testing.T) {
	f := newFixture(t, func(c *token.Config) { c.OneSecret = true })
	next := newSecret()
	before, after := f.config(), f.config()
	before.OneSecret, before.PreviousSecrets = true, [][]byte{next}
	after.OneSecret, after.Secret, after.PreviousSecrets = true, next, [][]byte{f.secret}
	for range 2 {
		for _, cfg := range []token.Config{before, after} {
			one := startManager(t, cfg)
			tokens, _, err := one.Begin(t.Context(), token.Login{UserID: "usr_a"})
			if err != nil {
				t.Fatal(err)
			}
			for _, other := range []token.Config{before, after} {
				if _, _, err := startManager(t, other).Verify(t.Context(), tokens.Access, f.now); err != nil {
					t.Errorf("a token of the one at the other: %v", err)
				}
			}
		}
	}
}

func TestAChangeOfAlgorithmEndsAccessTokensAndNoFamily(t *testing.T) {
	f := newFixture(t, nil)
	tokens, _ := f.begin(t, "usr_a")
	cfg := f.config()
	cfg.Algorithm = token.ES256
	f.Manager = startManager(t, cfg)
	f.verify(t, tokens.Access, "algorithm")
	next := f.refresh(t, tokens.Refresh, "")
	f.verify(t, next.Access, "")
	f.Manager = startManager(t, f.config()) // and back
	f.verify(t, next.Access, "algorithm")
	f.verify(t, tokens.Access, "")
}

// keyless is a key store that is away.
type keyless struct{ token.KeyStore }

var errAway = errors.New("away")

func (keyless) Keys(context.Context, token.Algorithm) ([]token.KeyRecord, error) { return nil, errAway }

func TestWithoutItsKeyStoreAManagerDoesNotStart(t *testing.T) {
	f := newFixture(t, nil)
	cfg := f.config()
	cfg.KeyStore = keyless{f.memory}
	m, err := token.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("Start: %v, want the outage", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Run(ctx); err != nil {
		t.Error(err)
	}
}
