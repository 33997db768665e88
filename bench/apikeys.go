package bench

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/apikey"
)

// Names of the contestants that bars are about.
const (
	KeyFloor  = "SHA-256 + map + constant-time compare (floor)"
	KeyVerify = "apikey.Manager.Verify, verdict known"
)

// APIKeys is the verification of one of n keys, all of them in use.
func APIKeys(n int) Contest {
	return Contest{fmt.Sprintf("api keys %d", n), []Contestant{
		{KeyFloor, func(workers int) (*Instance, error) { return floorKeys(workers, n) }},
		{KeyVerify, func(workers int) (*Instance, error) { return verifyKeys(workers, n) }},
	}}
}

// texts are n keys in one piece of memory, so that a benchmark has no pointers of
// its own for the garbage collector to follow.
type texts struct {
	all    []byte
	length int
}

func (t *texts) add(s string) {
	t.all, t.length = append(t.all, s...), len(s)
}

func (t *texts) strings() func(i int) string {
	all := string(t.all)
	return func(i int) string { return all[i*t.length:][:t.length] }
}

// keyParts are where the id and the secret lie in a key of the live environment.
const (
	idAt, idEnd         = len("mrl_live_"), len("mrl_live_") + 16
	secretAt, secretEnd = idEnd + 1, idEnd + 1 + 43
)

// floorKeys is the least that verification can be: find the id, hash the secret,
// compare. No expiry, no revocation, no address, one goroutine.
func floorKeys(workers, n int) (*Instance, error) {
	var t texts
	type id [idEnd - idAt]byte
	known := make(map[id][sha256.Size]byte, n)
	for range n {
		s, p, err := apikey.Generate(apikey.Live)
		if err != nil {
			return nil, err
		}
		t.add(s)
		known[id([]byte(p.Lookup))] = p.Hash()
	}
	key := t.strings()
	return alike(workers, func(w int) (func(int), error) {
		next := scattered(w, n)
		return func(count int) {
			for range count {
				s := key(next())
				var secret [secretEnd - secretAt]byte
				copy(secret[:], s[secretAt:secretEnd])
				var i id
				copy(i[:], s[idAt:idEnd])
				want, got := known[i], sha256.Sum256(secret[:])
				if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
					panic("bench: the floor refused a key")
				}
			}
		}, nil
	})
}

// verifyKeys fills the cache of verdicts and stops the clock, so that all keys
// stay hot: a million keys cannot all be used in the second that a verdict lives.
func verifyKeys(workers, n int) (*Instance, error) {
	now := time.Now()
	store := &lookups{records: make(map[string]apikey.Record, n)}
	m, err := apikey.New(apikey.Config{Store: store, CacheSize: max(1024, 2*n), Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	ctx, from := context.Background(), netip.MustParseAddr("203.0.113.1")
	var t texts
	for range n {
		s, _, err := m.Create(ctx, apikey.NewKey{Owner: "usr_1", Name: "bench"})
		if err != nil {
			return nil, err
		}
		t.add(s)
	}
	key := t.strings()
	for i := range n {
		if _, err := m.Verify(ctx, key(i), from, now); err != nil {
			return nil, err
		}
	}
	store.records = nil // from here on a look-up is a failure
	return alike(workers, func(w int) (func(int), error) {
		next := scattered(w, n)
		return func(count int) {
			for range count {
				if _, err := m.Verify(ctx, key(next()), from, now); err != nil {
					panic(err)
				}
			}
		}, nil
	})
}

// lookups is the part of a store that verification needs. Counting the keys of an
// owner, which apikey.Memory does at each Create, would take hours here.
type lookups struct {
	apikey.Store
	records map[string]apikey.Record
}

func (l *lookups) Create(_ context.Context, r apikey.Record, _ int) error {
	l.records[r.Lookup] = r
	return nil
}

func (l *lookups) Lookup(_ context.Context, lookup string) (apikey.Record, error) {
	r, ok := l.records[lookup]
	if !ok {
		return apikey.Record{}, apikey.ErrNotFound
	}
	return r, nil
}

// scattered returns numbers below n in an order that no cache foresees, another
// one for each worker. It costs about a nanosecond.
func scattered(worker, n int) func() int {
	x := uint64(worker+1) * 0x9e3779b97f4a7c15
	return func() int {
		x = x*6364136223846793005 + 1442695040888963407
		return int((x >> 32) * uint64(n) >> 32)
	}
}
