package uuid7_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/internal/uuid7"
)

// RFC 9562, section 5.7: 48 bits of milliseconds, version 0111, 12 random bits, variant 10, 62 random bits.
var layout = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTheLayoutIsThatOfRFC9562(t *testing.T) {
	// The instant of the RFC's own example (appendix A.6): 2022-02-22T19:22:22.000Z, 0x017F22E279B0.
	now := time.Date(2022, 2, 22, 14, 22, 22, 0, time.FixedZone("", -5*3600))
	for range 1000 {
		id := uuid7.New(now)
		if !layout.MatchString(id) {
			t.Fatalf("New = %q, want the layout of version 7", id)
		}
		if !strings.HasPrefix(id, "017f22e2-79b0-7") {
			t.Fatalf("New = %q, want it to begin with 017f22e2-79b0-7", id)
		}
	}
}

func TestAnInstantBefore1970CountsAs1970(t *testing.T) {
	for _, now := range []time.Time{{}, time.Unix(-1, 0), time.Unix(0, 0)} {
		if id := uuid7.New(now); !strings.HasPrefix(id, "00000000-0000-7") {
			t.Errorf("New(%v) = %q, want it to begin with 00000000-0000-7", now, id)
		}
	}
}

func TestIdentifiersSortByTheirMillisecond(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var ids []string
	for i := range 1000 {
		ids = append(ids, uuid7.New(now.Add(time.Duration(i)*time.Millisecond)))
	}
	if !slices.IsSorted(ids) {
		t.Error("identifiers of later milliseconds do not sort after earlier ones")
	}
}

func TestEveryRandomBitVariesAndNoIdentifierRepeats(t *testing.T) {
	now := time.Unix(0, 0)
	seen := make(map[string]bool)
	ones := make(map[int]map[byte]bool)
	for range 4000 {
		id := uuid7.New(now)
		if seen[id] {
			t.Fatalf("%q came twice", id)
		}
		seen[id] = true
		for i := range len(id) {
			if ones[i] == nil {
				ones[i] = make(map[byte]bool)
			}
			ones[i][id[i]] = true
		}
	}
	for i, want := range map[int]int{14: 1, 15: 16, 17: 16, 19: 4, 20: 16, 24: 16, 35: 16} {
		if got := len(ones[i]); got != want {
			t.Errorf("position %d took %d values, want %d", i, got, want)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		uuid7.New(now)
	}
}
