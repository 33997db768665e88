// Package revocationtest checks implementations of [revocation.Log].
package revocationtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/merlonhq/merlon/revocation"
)

// Run checks an empty log, of which add makes the ends of sessions whose names it is given, in order. It holds room
// changes.
func Run(t *testing.T, room int, open func(t *testing.T) (log revocation.Log, add func(names ...string))) {
	name := func(n int) string { return fmt.Sprintf("%064x", n) }
	latest := func(t *testing.T, log revocation.Log, want int64) {
		t.Helper()
		if seq, err := log.Latest(t.Context()); err != nil || seq != want {
			t.Errorf("Latest = %d, %v, want %d", seq, err, want)
		}
	}
	t.Run("changes are told in order", func(t *testing.T) {
		log, add := open(t)
		latest(t, log, 0)
		if changes, err := log.Since(t.Context(), 0); err != nil || len(changes) != 0 {
			t.Errorf("Since in an empty log = %v, %v", changes, err)
		}
		for n := range 5 {
			add(name(n))
		}
		latest(t, log, 5)
		for seq := range 6 {
			var want []revocation.Change
			for n := seq; n < 5; n++ {
				want = append(want, revocation.Change{Seq: int64(n + 1), Kind: revocation.Session, Name: name(n)})
			}
			if got, err := log.Since(t.Context(), int64(seq)); err != nil || !slices.Equal(got, want) {
				t.Errorf("Since(%d) = %v, %v, want %v", seq, got, err, want)
			}
		}
	})
	t.Run("what it does not hold is a gap", func(t *testing.T) {
		log, add := open(t)
		var names []string
		for n := range room + 1 {
			names = append(names, name(n))
		}
		add(names...)
		if _, err := log.Since(t.Context(), 0); !errors.Is(err, revocation.ErrGap) {
			t.Errorf("beyond the room: %v, want ErrGap", err)
		}
		// The nearest that is held: that of which all that came after is.
		got, err := log.Since(t.Context(), 2)
		if err != nil || len(got) != room-1 || got[0].Seq != 3 || got[0].Name != name(2) {
			t.Errorf("within it: %d changes, %v, want %d", len(got), err, room-1)
		}
		if _, err := log.Since(t.Context(), int64(room+2)); !errors.Is(err, revocation.ErrGap) {
			t.Errorf("a number to come: %v, want ErrGap", err)
		}
	})
	t.Run("no change appears before one of a lower number", func(t *testing.T) {
		log, add := open(t)
		const each, adders = 10, 4
		var wg sync.WaitGroup
		for i := range adders {
			wg.Go(func() {
				for n := range each {
					add(name(i*each + n))
				}
			})
		}
		seen := map[string]bool{}
		for seq := int64(0); seq < each*adders; {
			changes, err := log.Since(t.Context(), seq)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range changes {
				if c.Seq != seq+1 || seen[c.Name] {
					t.Fatalf("change %+v comes after number %d", c, seq)
				}
				seq, seen[c.Name] = c.Seq, true
			}
		}
		wg.Wait()
	})
	t.Run("a call whose context has ended returns", func(t *testing.T) {
		log, _ := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err1 := log.Latest(ctx)
		_, err2 := log.Since(ctx, 0)
		if err1 == nil || err2 == nil || errors.Is(err2, revocation.ErrGap) {
			t.Errorf("errors %v and %v, want an outage of each", err1, err2)
		}
	})
}
