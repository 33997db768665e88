package token_test

import (
	"slices"
	"testing"
	"time"

	"github.com/merlonhq/merlon/token"
)

// beside returns a manager of the same stores and secret that was not started, as a command has it.
func beside(t *testing.T, f *fixture, change func(*token.Config)) *token.Manager {
	t.Helper()
	cfg := f.config()
	if change != nil {
		change(&cfg)
	}
	m, err := token.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAKeyIsRotatedBeforeItsTimeWithoutEndingTokens(t *testing.T) {
	f := newFixture(t, nil)
	before, _ := f.begin(t, "usr_a")
	made, err := beside(t, f, nil).Rotate(t.Context(), 2*time.Hour)
	if err != nil || made.Number != 2 || !made.SignsFrom.Equal(noon.Add(2*time.Hour)) {
		t.Fatalf("%+v, %v", made, err)
	}
	look := func(at time.Duration) {
		t.Helper()
		f.now = noon.Add(at)
		if err := f.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look(time.Minute)
	if got := published(t, f.Manager); !slices.Equal(got, []string{kid(t, before.Access), made.ID}) {
		t.Fatalf("published are %v, want both", got)
	}
	f.now = noon.Add(2*time.Hour - time.Second)
	last, _ := f.begin(t, "usr_a")
	f.now = noon.Add(2 * time.Hour)
	next, _ := f.begin(t, "usr_a")
	if kid(t, last.Access) != kid(t, before.Access) || kid(t, next.Access) != made.ID {
		t.Errorf("signed by %s until the notice is over and by %s after it", kid(t, last.Access), kid(t, next.Access))
	}
	f.verify(t, last.Access, "")
	f.verify(t, next.Access, "")
	f.verify(t, f.refresh(t, before.Refresh, "").Access, "")
	look(2*time.Hour + 70*time.Minute) // as long as a token may live, and ten minutes
	if got := published(t, f.Manager); !slices.Equal(got, []string{made.ID}) {
		t.Errorf("published are %v, want the new one alone", got)
	}
}

func TestARotationOverTakesOneThatWaits(t *testing.T) {
	f := newFixture(t, nil)
	m := beside(t, f, nil)
	if _, err := m.Rotate(t.Context(), 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	soon, err := m.Rotate(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	tokens, _ := f.begin(t, "usr_a")
	if kid(t, tokens.Access) != soon.ID {
		t.Error("the key that signs at once does not")
	}
	f.now = noon.Add(25 * time.Hour)
	if tokens, _ := f.begin(t, "usr_a"); kid(t, tokens.Access) != soon.ID {
		t.Error("the one that waited takes its place again")
	}
}

func TestKeysThatLeakedAreReplaced(t *testing.T) {
	f := newFixture(t, nil)
	other := f.config()
	other.Algorithm = token.ES256
	startManager(t, other) // from before a change of algorithm
	tokens, _ := f.begin(t, "usr_a")
	made, removed, err := beside(t, f, nil).Replace(t.Context())
	if err != nil || removed != 2 || !made.SignsFrom.Equal(noon) {
		t.Fatalf("%+v, %d removed, %v", made, removed, err)
	}
	f.verify(t, tokens.Access, "") // until the process sees it
	if err := f.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.verify(t, tokens.Access, "key")
	if got := published(t, f.Manager); !slices.Equal(got, []string{made.ID}) {
		t.Errorf("published are %v", got)
	}
	next := f.refresh(t, tokens.Refresh, "")
	f.verify(t, next.Access, "")
	for _, a := range []token.Algorithm{token.EdDSA, token.ES256} {
		records, err := f.memory.Keys(t.Context(), a)
		if want := map[token.Algorithm]int{token.EdDSA: 1}[a]; err != nil || len(records) != want {
			t.Errorf("%s: %d keys are stored (%v), want %d", a, len(records), err, want)
		}
	}
}

func TestRotationRefuses(t *testing.T) {
	f := newFixture(t, nil)
	stranger := beside(t, f, func(c *token.Config) { c.Secret = newSecret() })
	if _, err := stranger.Rotate(t.Context(), 0); err == nil {
		t.Error("another secret than that of the processes that run")
	}
	if _, _, err := stranger.Replace(t.Context()); err == nil {
		t.Error("another secret replaces keys")
	}
	former := beside(t, f, func(c *token.Config) { c.Secret, c.PreviousSecrets = newSecret(), [][]byte{f.secret} })
	if _, err := former.Rotate(t.Context(), 0); err != nil {
		t.Errorf("their secret as a former one: %v", err)
	}
	for _, notice := range []time.Duration{-time.Second, 30*24*time.Hour + time.Second} {
		if _, err := former.Rotate(t.Context(), notice); err == nil {
			t.Errorf("a notice of %v", notice)
		}
	}
	if _, err := former.Rotate(t.Context(), 30*24*time.Hour); err != nil {
		t.Errorf("a notice of 30 days: %v", err)
	}
	for range 13 {
		if _, err := former.Rotate(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := former.Rotate(t.Context(), time.Hour); err == nil {
		t.Error("a seventeenth key")
	}
	if _, removed, err := former.Replace(t.Context()); err != nil || removed != 16 {
		t.Errorf("replaced %d, %v", removed, err)
	}
	empty := beside(t, f, func(c *token.Config) { c.KeyStore = newMemory(t, 10) })
	if r, err := empty.Rotate(t.Context(), 0); err != nil || r.Number != 1 {
		t.Errorf("the first key of all: %+v, %v", r, err)
	}
	away := beside(t, f, func(c *token.Config) { c.KeyStore = keyless{f.memory} })
	if _, err := away.Rotate(t.Context(), 0); err == nil {
		t.Error("without a store")
	}
}
