//go:build unix

package main_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A control in shadow says so at start, lets pass what it would refuse, tells of it
// under its own outcome, and sums it up at the end.
func TestShadow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig+"insecure_shadow: {controls: [csrf, csrf-token], reason: measuring before we enforce}\n")
	createUser(t, merlon("--config", config).in(dir), "warden", passphrase, "admin")
	s := startService(t, merlon("--config", config).in(dir))
	admin := s.login(t, "warden", passphrase)

	// Another site logs in, and changes something without a token: both pass.
	foreign := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	a := s.call(t, 200, "POST", "/api/v1/auth/login", credentials("warden", passphrase), foreign...)
	own, err := sessionOf(a)
	if err != nil {
		t.Fatal(err)
	}
	forged := s.as("Cookie", own.headers()[1])
	forged.call(t, 200, "PATCH", "/api/v1/users/me", members{"full_name": "Ada"})
	// What is no verdict of theirs is refused as ever, and so is a bad login.
	s.refused(t, 401, "invalid-credentials", "POST", "/api/v1/auth/login", credentials("warden", "nothing at all"))

	would := func() []event { return events(t, admin, "outcome=would_refuse") }
	for until := time.Now().Add(patience); len(would()) < 2 && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	all := would()
	if len(all) != 2 {
		t.Fatalf("events %+v; want two", all)
	}
	for i, want := range []struct{ control, code, route string }{
		{"csrf", "cross-site-request", "POST /api/v1/auth/login"},
		{"csrf-token", "csrf-token-missing", "PATCH /api/v1/users/me"},
	} {
		e := all[i]
		if e.Type != "malicious_csrf" || e.Outcome != "would_refuse" || e.Detail["control"] != want.control || e.Detail["code"] != want.code || e.Detail["status"] != 403.0 || e.Route != want.route {
			t.Errorf("event %+v; want one of %+v", e, want)
		}
	}
	if all[0].RequestID != a.header.Get("X-Request-Id") {
		t.Errorf("request id %q; the answer has %q", all[0].RequestID, a.header.Get("X-Request-Id"))
	}
	// The filter works with the others.
	for filter, n := range map[string]int{
		"outcome=would_refuse&type=malicious_csrf&category=suspicious_activity": 2,
		"outcome=would_refuse&subject=" + all[1].Principal:                      1,
		"outcome=would_refuse&category=authentication":                          0,
		"outcome=refused&type=malicious_csrf":                                   0,
	} {
		if got := events(t, admin, filter); len(got) != n {
			t.Errorf("%s: %d events; want %d", filter, len(got), n)
		}
	}

	r := s.stop()
	for _, want := range []string{
		`level=WARN msg="a control is in shadow: what it refuses is recorded and goes on" control=csrf reason="measuring before we enforce"`,
		`level=WARN msg="a control is in shadow: what it refuses is recorded and goes on" control=csrf-token reason="measuring before we enforce"`,
		`msg="a control in shadow" control=csrf would_refuse=1 refused=0`,
		`msg="a control in shadow" control=csrf-token would_refuse=1 refused=0`,
	} {
		if strings.Count(r.stderr, want) != 1 {
			t.Errorf("the log lacks %s:\n%s", want, r.stderr)
		}
	}
	var disabled []string
	for _, e := range logged(t, filepath.Join(dir, "logs", "security.log")) {
		if e.Type == "sys_monitor_disabled" {
			disabled = append(disabled, e.Severity+" "+e.Detail["control"].(string)+" "+e.Detail["mode"].(string)+" "+e.Detail["reason"].(string))
		}
	}
	if got := strings.Join(disabled, "; "); got != "high csrf shadow measuring before we enforce; high csrf-token shadow measuring before we enforce" {
		t.Errorf("at the start: %s", got)
	}
}

// Without the setting nothing is in shadow, and nothing tells of it.
func TestNoShadow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", developmentConfig)
	s := startService(t, merlon("--config", config).in(dir))
	s.refused(t, 403, "cross-site-request", "POST", "/api/v1/auth/login", credentials("warden", passphrase), "Sec-Fetch-Site", "cross-site")
	r := s.stop()
	if all := logged(t, filepath.Join(dir, "logs", "security.log")); strings.Contains(r.stderr, "shadow") || count(all, "sys_monitor_disabled") != 0 {
		t.Errorf("shadow is told of:\n%s", r.stderr)
	}
}

// The settings come from the environment too, and what is wrong with them is told at once.
func TestShadowSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	i := merlon().in(dir).with("MERLON_ENVIRONMENT=development")
	s := startService(t, i.with("MERLON_INSECURE_SHADOW__CONTROLS=cors,authz", "MERLON_INSECURE_SHADOW__REASON=a test"))
	if r := s.stop(); !strings.Contains(r.stderr, `control=cors reason="a test"`) || !strings.Contains(r.stderr, `control=authz reason="a test"`) {
		t.Errorf("from the environment:\n%s", r.stderr)
	}
	i.args = []string{"serve"}
	for env, want := range map[string][]string{
		"MERLON_INSECURE_SHADOW__CONTROLS=crsf,route": {
			`merlon.E055 MERLON_INSECURE_SHADOW__CONTROLS: insecure_shadow.controls: "crsf" is no control that can be in shadow; did you mean csrf?`,
			`merlon.E055 MERLON_INSECURE_SHADOW__CONTROLS: insecure_shadow.controls: "route" is no control that can be in shadow; write some of httpsonly, `},
		"MERLON_INSECURE_SHADOW__CONTROLS=csrf": {"merlon.E056 MERLON_INSECURE_SHADOW__CONTROLS: "},
		"MERLON_INSECURE_SHADOW__REASON=why":    {"merlon.E057 MERLON_INSECURE_SHADOW__REASON: "},
	} {
		r := run(t, i.with(env))
		for _, line := range want {
			if r.code != 2 || !strings.Contains(r.stderr, line) {
				t.Errorf("%s: exit %d; want 2 and %s:\n%s", env, r.code, line, r.stderr)
			}
		}
	}
}
