package api

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestADeviceIsKnownForItsAccountOnly(t *testing.T) {
	old, young := bytes.Repeat([]byte("o"), 32), bytes.Repeat([]byte("y"), 32)
	before, err := NewDevices(old)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDevices(young, old)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	mine := d.issue("ada", now)
	id, ok := d.known(mine, "ada", now)
	if !ok || len(id) != 32 {
		t.Fatalf("one's own device: %q, %v", id, ok)
	}
	if again := d.issue("ada", now); again == mine {
		t.Error("two devices have one cookie")
	}
	for _, tt := range []struct {
		name, value, account string
		at                   time.Time
		want                 bool
	}{
		{"a day before it ends", mine, "ada", now.Add(179 * 24 * time.Hour), true},
		{"at its end", mine, "ada", now.Add(180 * 24 * time.Hour), false},
		{"from the time to come", mine, "ada", now.Add(-2 * time.Minute), false},
		{"of another account", mine, "adam", now, false},
		{"made under the former secret", before.issue("ada", now), "ada", now, true},
		{"cut short", mine[:len(mine)-1], "ada", now, false},
		{"with a longer end", mine + "A", "ada", now, false},
		{"none", "", "ada", now, false},
	} {
		if _, ok := d.known(tt.value, tt.account, tt.at); ok != tt.want {
			t.Errorf("%s: known %v; want %v", tt.name, ok, tt.want)
		}
	}
	for i := range mine {
		changed := mine[:i] + strings.Map(func(r rune) rune {
			if r == 'A' {
				return 'B'
			}
			return 'A'
		}, mine[i:i+1]) + mine[i+1:]
		if _, ok := d.known(changed, "ada", now); ok {
			t.Fatalf("known with character %d changed", i)
		}
	}
	if _, ok := before.known(mine, "ada", now); ok {
		t.Error("known under another secret")
	}
}

func FuzzDevicesKnowOnlyTheirOwn(f *testing.F) {
	d, err := NewDevices(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	f.Add(strings.Repeat("A", 75), "ada")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, value, account string) {
		if _, ok := d.known(value, account, now); ok {
			t.Errorf("known: %q for %q", value, account)
		}
	})
}
