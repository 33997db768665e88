package tokentest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/token"
)

// RunKeys runs the suite of signing keys. newStore returns an empty store that lives until the end of t.
func RunKeys(t *testing.T, newStore func(t *testing.T) token.KeyStore) {
	for name, test := range map[string]func(t *testing.T, s token.KeyStore){
		"keys come back as they were, by algorithm and in order": keyRoundTrip,
		"of parallel keys with one number one is added":          keyRace,
		"a key is sealed anew once":                              reseal,
		"deleting is exact and can be repeated":                  keyDelete,
		"a dead context changes no key":                          keyDeadContext,
	} {
		t.Run(name, func(t *testing.T) { test(t, newStore(t)) })
	}
}

func keyRecord(algorithm token.Algorithm, n int64) token.KeyRecord {
	return token.KeyRecord{
		ID: fmt.Sprintf("%s-%d", algorithm, n), Algorithm: algorithm, Number: n, SignsFrom: epoch.Add(time.Duration(n) * time.Hour),
		SecretID: "0123456789abcdef", Sealed: []byte{0, '\'', 0xff, byte(n)},
	}
}

func addKeys(t *testing.T, s token.KeyStore, records ...token.KeyRecord) {
	t.Helper()
	for _, r := range records {
		if err := s.AddKey(t.Context(), r); err != nil {
			t.Fatalf("AddKey(%s): %v", r.ID, err)
		}
	}
}

// storedKeys wants the keys of an algorithm.
func storedKeys(t *testing.T, s token.KeyStore, algorithm token.Algorithm, want ...token.KeyRecord) {
	t.Helper()
	got, err := s.Keys(t.Context(), algorithm)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].SignsFrom = got[i].SignsFrom.UTC()
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the keys of %s are %+v, want %+v", algorithm, got, want)
	}
}

func keyRoundTrip(t *testing.T, s token.KeyStore) {
	storedKeys(t, s, "EdDSA")
	addKeys(t, s, keyRecord("EdDSA", 2), keyRecord("ES256", 1), keyRecord("EdDSA", 1), keyRecord("EdDSA", 10))
	storedKeys(t, s, "EdDSA", keyRecord("EdDSA", 1), keyRecord("EdDSA", 2), keyRecord("EdDSA", 10))
	storedKeys(t, s, "ES256", keyRecord("ES256", 1))
	storedKeys(t, s, "eddsa")
	for what, taken := range map[string]func(*token.KeyRecord){
		"number": func(r *token.KeyRecord) { r.Number = 10 },
		"id":     func(r *token.KeyRecord) { r.ID = "ES256-1" },
	} {
		r := keyRecord("EdDSA", 11)
		taken(&r)
		if err := s.AddKey(t.Context(), r); !errors.Is(err, token.ErrConflict) {
			t.Errorf("AddKey with a taken %s: %v, want ErrConflict", what, err)
		}
	}
	storedKeys(t, s, "EdDSA", keyRecord("EdDSA", 1), keyRecord("EdDSA", 2), keyRecord("EdDSA", 10))
}

func keyRace(t *testing.T, s token.KeyStore) {
	var added atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			r := keyRecord("EdDSA", 1)
			r.ID = fmt.Sprint("key", i)
			switch err := s.AddKey(t.Context(), r); {
			case err == nil:
				added.Add(1)
			case !errors.Is(err, token.ErrConflict):
				t.Errorf("AddKey: %v, want ErrConflict", err)
			}
		})
	}
	wg.Wait()
	keys, err := s.Keys(t.Context(), "EdDSA")
	if added.Load() != 1 || len(keys) != 1 || err != nil {
		t.Errorf("%d keys were added and %d are there (%v), want 1 and 1", added.Load(), len(keys), err)
	}
}

func reseal(t *testing.T, s token.KeyStore) {
	r, other := keyRecord("EdDSA", 1), keyRecord("EdDSA", 2)
	addKeys(t, s, r, other)
	next := r
	next.SecretID, next.Sealed = "fedcba9876543210", []byte{9}
	if err := s.ResealKey(t.Context(), r.ID, r.SecretID, next.SecretID, next.Sealed); err != nil {
		t.Fatal(err)
	}
	storedKeys(t, s, "EdDSA", next, other)
	for what, id := range map[string]string{"sealed anew before": r.ID, "not there": "x"} {
		if err := s.ResealKey(t.Context(), id, r.SecretID, "0000000000000000", []byte{8}); !errors.Is(err, token.ErrConflict) {
			t.Errorf("a key that was %s: %v, want ErrConflict", what, err)
		}
	}
	storedKeys(t, s, "EdDSA", next, other)
}

func keyDelete(t *testing.T, s token.KeyStore) {
	addKeys(t, s, keyRecord("EdDSA", 1), keyRecord("EdDSA", 2))
	for range 2 {
		if err := s.DeleteKey(t.Context(), keyRecord("EdDSA", 1).ID); err != nil {
			t.Fatal(err)
		}
		storedKeys(t, s, "EdDSA", keyRecord("EdDSA", 2))
	}
}

func keyDeadContext(t *testing.T, s token.KeyStore) {
	r := keyRecord("EdDSA", 1)
	addKeys(t, s, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errKeys := s.Keys(ctx, "EdDSA")
	for what, err := range map[string]error{
		"Keys": errKeys, "AddKey": s.AddKey(ctx, keyRecord("EdDSA", 2)), "ResealKey": s.ResealKey(ctx, r.ID, r.SecretID, "x", nil),
		"DeleteKey": s.DeleteKey(ctx, r.ID),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	storedKeys(t, s, "EdDSA", r)
}
