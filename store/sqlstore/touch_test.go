package sqlstore_test

import (
	"testing"
	"time"

	"github.com/merlonhq/merlon/apikey"
	"github.com/merlonhq/merlon/session"
)

// Batches of every size are written whole, and the latest of several instants of one counts.
func TestManyAreTouchedAtOnce(t *testing.T) {
	for name, arrange := range arrangements {
		t.Run(name, func(t *testing.T) {
			db := newDB(t, arrange(t))
			const n = 2*64 + 3*8 + 5
			var seen []session.Seen
			var used []apikey.Use
			for i := range n {
				s, k := login(i), key(i)
				if err := db.Sessions().Create(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				if err := db.Keys().Create(t.Context(), k, 1000); err != nil {
					t.Fatal(err)
				}
				for _, at := range []time.Time{epoch.Add(time.Minute), epoch.Add(time.Hour), epoch.Add(-time.Hour)} {
					seen = append(seen, session.Seen{ID: s.ID, At: at})
					used = append(used, apikey.Use{ID: k.ID, At: at})
				}
			}
			for range 2 { // again changes nothing
				if err := db.Sessions().Touch(t.Context(), seen); err != nil {
					t.Fatal(err)
				}
				if err := db.Keys().Touch(t.Context(), used); err != nil {
					t.Fatal(err)
				}
			}
			sessions, err := db.Sessions().List(t.Context(), "usr_a", 1000)
			if err != nil || len(sessions) != n {
				t.Fatalf("%d sessions, %v", len(sessions), err)
			}
			for _, s := range sessions {
				if !s.LastSeenAt.Equal(epoch.Add(time.Hour)) {
					t.Errorf("%s was seen %v", s.ID, s.LastSeenAt)
				}
			}
			keys, err := db.Keys().List(t.Context(), "usr_a", "", 1000)
			if err != nil || len(keys) != n {
				t.Fatalf("%d keys, %v", len(keys), err)
			}
			for _, k := range keys {
				if k.LastUsedAt == nil || !k.LastUsedAt.Equal(epoch.Add(time.Hour)) {
					t.Errorf("%s was used %v", k.ID, k.LastUsedAt)
				}
			}
			if err := db.Sessions().Touch(t.Context(), nil); err != nil {
				t.Errorf("nothing: %v", err)
			}
		})
	}
}
