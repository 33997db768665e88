package pattern_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/audit/audittest"
	"github.com/merlonhq/merlon/pattern"
)

// A clock is set by hand.
type clock struct{ now time.Time }

func watch(t *testing.T, canaries ...string) (*pattern.Watch, *audittest.Memory, *clock) {
	t.Helper()
	m, c := &audittest.Memory{}, &clock{time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	w, err := pattern.New(pattern.Config{Recorder: m, Canaries: canaries, Now: func() time.Time { return c.now }})
	if err != nil {
		t.Fatal(err)
	}
	return w, m, c
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// host returns address i of a network, or of as many networks as there are i.
func host(i int) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}) }

func spread(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)})
}

func other(i int) netip.Addr { return netip.AddrFrom4([4]byte{101, byte(i >> 8), byte(i), 1}) }

func TestNewReportsEverythingThatIsWrong(t *testing.T) {
	_, err := pattern.New(pattern.Config{Canaries: append(make([]string, 1), slices.Repeat([]string{"x"}, 1000)...)})
	for _, want := range []string{"Recorder is nil", "1001 Canaries", "Canaries[0] is empty"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

// Each attack one short of its number, at its number, and beyond: nothing, one event,
// and still one.
func TestEachPatternIsNamedAtItsNumberOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		n      int
		do     func(w *pattern.Watch, i int)
		want   audit.Type
		detail string
	}{
		{"stuffing", 25, func(w *pattern.Watch, i int) {
			w.LoginFailed(pattern.Failure{Client: host(i), Account: fmt.Sprint("user", i), Password: fmt.Sprint("p", i)})
		}, audit.SuspiciousCredentialStuffing, `{"prefix":"198.51.100.0/24","accounts":25}`},
		{"spraying", 20, func(w *pattern.Watch, i int) {
			w.LoginFailed(pattern.Failure{Client: other(i), Account: fmt.Sprint("user", i), Password: "Winter2026"})
		}, audit.SuspiciousPasswordSpraying, `{"accounts":20}`},
		{"one account from many networks", 15, func(w *pattern.Watch, i int) {
			w.LoginFailed(pattern.Failure{Client: other(i), Account: "ada", ID: "usr_ada", Password: fmt.Sprint("p", i)})
		}, audit.SuspiciousDistributedLogin, `{"prefixes":15}`},
		{"scanning", 40, func(w *pattern.Watch, i int) {
			w.UnknownPath(netip.MustParseAddr(fmt.Sprintf("2001:db8:1:%x::1", i)), fmt.Sprint("/", i))
		}, audit.MaliciousExcess404, `{"prefix":"2001:db8:1::/48","paths":40}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, m, clock := watch(t)
			for i := range c.n - 1 {
				c.do(w, i)
				c.do(w, i) // again: not another
			}
			if got := m.Events(); len(got) > 0 {
				t.Fatalf("one short: %+v", got)
			}
			for i := c.n - 1; i < 3*c.n; i++ {
				c.do(w, i)
			}
			got := m.Events()
			if len(got) != 1 || got[0].Type != c.want || got[0].Category != audit.SuspiciousActivity || string(audit.AppendDetail(nil, got[0].Detail)) != c.detail {
				t.Fatalf("got %+v, want one %s %s", got, c.want, c.detail)
			}
			if c.want == audit.SuspiciousDistributedLogin && got[0].Principal != "usr_ada" {
				t.Errorf("principal %q", got[0].Principal)
			}
			// What goes on is told of again after an hour.
			for range 3 {
				clock.now = clock.now.Add(25 * time.Minute)
				for i := range 3 * c.n {
					c.do(w, i)
				}
			}
			if got := m.Events(); len(got) != 2 {
				t.Errorf("%d events after 75 minutes of it, want 2", len(got))
			}
		})
	}
}

func TestWhatIsOldDoesNotCount(t *testing.T) {
	w, m, clock := watch(t)
	for i := range 500 { // 20 accounts an hour
		w.LoginFailed(pattern.Failure{Client: host(1), Account: fmt.Sprint("user", i), Password: fmt.Sprint("p", i)})
		clock.now = clock.now.Add(3 * time.Minute)
	}
	if got := m.Events(); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

func TestACanaryIsToldOfAtOnceAndOnce(t *testing.T) {
	w, m, clock := watch(t, "backup", "/.env")
	w.LoginFailed(pattern.Failure{Client: host(1), Account: "backups", Password: "x"})
	w.UnknownPath(host(1), "/.envrc")
	if got := m.Events(); len(got) > 0 {
		t.Fatalf("beside the canaries: %+v", got)
	}
	for range 10 {
		w.LoginFailed(pattern.Failure{Client: host(1), Account: "backup", Password: "x"})
		w.UnknownPath(host(2), "/.env")
	}
	got := m.Events(audit.SuspiciousCanary)
	if len(got) != 2 || got[0].Address != "198.51.100.1" || string(audit.AppendDetail(nil, got[1].Detail)) != `{"prefix":"198.51.100.0/24","canary":"path","name":"/.env"}` {
		t.Errorf("%+v", got)
	}
	clock.now = clock.now.Add(time.Hour)
	w.UnknownPath(host(2), "/.env")
	if n := len(m.Events(audit.SuspiciousCanary)); n != 3 {
		t.Errorf("%d events after an hour, want 3", n)
	}
}

// However many networks, accounts and passwords attackers have: memory and events are bounded.
func TestMemoryAndEventsAreBounded(t *testing.T) {
	w, m, clock := watch(t, "/.env")
	for i := range 3 * pattern.Keys {
		w.UnknownPath(other(i), "/.env")
	}
	if n := len(m.Events(audit.SuspiciousCanary)); n != pattern.Events {
		t.Errorf("%d events in an hour, want %d", n, pattern.Events)
	}
	clock.now = clock.now.Add(time.Hour)
	w.UnknownPath(host(1), "/.env")
	got := m.Events(audit.SuspiciousCanary)
	want := fmt.Sprintf(`"suppressed":%d}`, 3*pattern.Keys-pattern.Events)
	if d := string(audit.AppendDetail(nil, got[len(got)-1].Detail)); !strings.HasSuffix(d, want) {
		t.Errorf("the next event says %s, want %s", d, want)
	}
	for i := range 2 * pattern.Keys {
		w.LoginFailed(pattern.Failure{Client: spread(i << 8), Account: fmt.Sprint(i), Password: fmt.Sprint(i)})
	}
	for name, n := range w.Sizes() {
		if n > pattern.Keys {
			t.Errorf("%s remembers %d keys, want %d at most", name, n, pattern.Keys)
		}
	}
}
