package e2e_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// eventually reads a list of events until n are there.
func eventually(t *testing.T, admin *client, query string, n int) []object {
	t.Helper()
	for end := deadline(); ; time.Sleep(50 * time.Millisecond) {
		got := admin.all(t, "/api/v1/events?"+query, 100)
		if len(got) >= n || time.Now().After(end) {
			return got
		}
	}
}

func TestEventsAreFoundByWhatTheyAre(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, ada, c := s.asAdmin(t), s.register(t), s.client(t)
	before := time.Now()
	time.Sleep(5 * time.Millisecond)
	for range 3 {
		c.with(t, "nonsense", "GET", "/api/v1/posts", nil).wantProblem(t, 401, "unauthenticated")
	}
	for range 2 {
		ada.do(t, "POST", "/api/v1/posts", post()).wantProblem(t, 403, missing)
	}
	time.Sleep(5 * time.Millisecond)
	middle := time.Now()
	time.Sleep(5 * time.Millisecond)
	c.do(t, "GET", "/api/v1/events", nil).wantProblem(t, 401, "unauthenticated")
	last := c.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	s.wantEvents(t, wantEvent{last, "authz_fail", "authorization", "low", "refused", "", "GET /api/v1/users/me", nil})

	stamp := func(at time.Time) string { return url.QueryEscape(at.Format(time.RFC3339Nano)) }
	own := "address=" + c.address
	for query, want := range map[string]int{
		"type=apikey_rejected":                       3,
		"type=malicious_csrf":                        2,
		"type=user_created":                          3, // two are the demo's own
		"type=sys_startup":                           1,
		"type=no_such_type":                          0,
		"category=suspicious_activity":               2,
		"category=api_key":                           4, // one is the demo's own
		"category=rate_limit":                        0,
		own:                                          5,
		own + "&category=api_key":                    3,
		own + "&outcome=refused":                     5,
		own + "&outcome=success":                     0,
		own + "&outcome=would_refuse":                0,
		own + "&type=authz_fail":                     2,
		"address=192.0.2.1":                          0,
		"subject=" + ada.id + "&type=malicious_csrf": 2,
		"subject=" + ada.id + "&outcome=success":     3, // user_created, authn_login_success, session_created
		"subject=usr_x":                              0,
		own + "&since=" + stamp(before):              5,
		own + "&since=" + stamp(middle):              2,
		own + "&until=" + stamp(before):              0,
		own + "&until=" + stamp(middle):              3,
		own + "&since=" + stamp(before) + "&until=" + stamp(middle): 3,
		own + "&since=" + stamp(middle) + "&until=" + stamp(before): 0,
	} {
		got := eventually(t, admin, query, want)
		if len(got) != want {
			t.Errorf("?%s: %d events, want %d", query, len(got), want)
		}
		for _, e := range got {
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			for filter, member := range map[string]string{"type": "type", "category": "category", "outcome": "outcome", "subject": "principal", "address": "address"} {
				if w := values.Get(filter); w != "" && e[member] != w {
					t.Errorf("?%s: an event with %s %v", query, member, e[member])
				}
			}
		}
	}
	for _, bad := range []struct{ query, errors string }{
		{"category=" + marker, "/category enum"}, {"outcome=" + marker, "/outcome enum"}, {"since=" + marker, "/since format"}, {"until=yesterday", "/until format"},
		{"since=2026-01-01", "/since format"}, {"severity=high", "/severity unknown-parameter"}, {"limit=101", "/limit maximum"}, {"cursor=" + marker, "/cursor *"},
		{"type=a%20b", "/type pattern"}, {"type=" + strings.Repeat("x", 65), "/type too-long"}, {"type=a&type=b", "/type duplicate"},
	} {
		a := admin.do(t, "GET", "/api/v1/events?"+bad.query, nil).wantProblem(t, 422, "invalid-content")
		if a.status == 422 {
			wantMembers(t, a, []string{bad.errors})
		}
	}
	ada.do(t, "GET", "/api/v1/events", nil).wantProblem(t, 403, "insufficient-scope")
	key := admin.newKey(t, object{"scopes": []string{"events:read"}}).text(t, "key")
	c.with(t, key, "GET", "/api/v1/events?limit=1", nil).want(t, 200)
}

func TestEventsComeNewestFirstInPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	admin, c := s.asAdmin(t), s.client(t)
	for range 25 {
		c.do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	}
	filter := "type=authz_fail&address=" + c.address
	all := eventually(t, admin, filter, 25)
	if len(all) != 25 {
		t.Fatalf("%d events, want 25", len(all))
	}
	for i := range all[1:] {
		if instant(t, all[i]["time"]).Before(instant(t, all[i+1]["time"])) {
			t.Errorf("event %d is older than the next", i)
		}
	}
	idsOf := func(items []object) []string {
		var out []string
		for _, e := range items {
			out = append(out, text(e["id"]))
		}
		return out
	}
	for _, size := range []int{1, 7, 24, 25, 26} {
		if got := idsOf(admin.all(t, "/api/v1/events?"+filter, size)); !slices.Equal(got, idsOf(all)) {
			t.Errorf("in pages of %d: %q, want %q", size, got, idsOf(all))
		}
	}
	if n := len(admin.do(t, "GET", "/api/v1/events?"+filter, nil).items(t)); n != 20 {
		t.Errorf("a page has %d, want 20", n)
	}
	// New events do not shift the pages.
	first := admin.do(t, "GET", "/api/v1/events?limit=10&"+filter, nil)
	c.do(t, "GET", "/api/v1/users/me", nil)
	eventually(t, admin, filter, 26)
	second := admin.do(t, "GET", "/api/v1/events?limit=10&"+filter+"&cursor="+url.QueryEscape(first.text(t, "next_cursor")), nil)
	if got := idsOf(second.items(t)); !slices.Equal(got, idsOf(all)[10:20]) {
		t.Errorf("the second page is %q, want %q", got, idsOf(all)[10:20])
	}
}

// What is accepted and unremarkable is not written; what a client sends cannot
// make lines of its own.
func TestTheLogHoldsWhatIsRemarkable(t *testing.T) {
	t.Parallel()
	s := start(t)
	ada, c := s.register(t), s.client(t)
	quiet := []*answer{
		c.do(t, "GET", "/api/v1/posts", nil), c.do(t, "GET", "/health", nil), c.do(t, "GET", "/csrf/token", nil), c.do(t, "GET", "/openapi.json", nil),
		ada.do(t, "GET", "/api/v1/users/me", nil), ada.do(t, "GET", "/api/v1/api-keys", nil), ada.act(t, "POST", "/api/v1/posts", post()),
	}
	for _, a := range quiet {
		if got := s.settled(t, a); len(got) != 0 {
			t.Errorf("%s %s (%d) left %q", a.method, a.path, a.status, got)
		}
	}
	injection := `x","type":"sys_shutdown"}` + "\u2028" + `{"id":"evt_forged`
	c.http.Transport = agent{c.http.Transport, injection}
	a := c.do(t, "GET", "/api/v1/users/me", nil, "Origin: https://evil.example/"+strings.Repeat("x", 5000)).wantProblem(t, 401, "unauthenticated")
	s.settled(t, a)
	for _, line := range s.log(t) {
		if strings.Contains(text(line["id"]), "forged") || line["type"] == "sys_shutdown" {
			t.Errorf("a client wrote a line: %v", line)
		}
		if line["request_id"] == a.header.Get("X-Request-Id") && line["useragent"] != injection {
			t.Errorf("useragent is %q", line["useragent"])
		}
	}
	startup := s.log(t)[0]
	if startup["type"] != "sys_startup" || startup["category"] != "system" || startup["severity"] != "info" || startup["outcome"] != "success" {
		t.Errorf("the first line is %v", startup)
	}
	for _, line := range s.log(t) {
		for _, name := range append(slices.Clone(members), "appid") {
			if _, there := line[name]; !there {
				t.Errorf("a line without %s: %q", name, slices.Sorted(maps.Keys(line)))
			}
		}
	}
}
