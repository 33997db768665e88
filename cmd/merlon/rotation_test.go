//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// The steps of docs/operating.md on two nodes, one after the other, while somebody uses
// both: no request fails, whichever node made what it shows.
func TestSecretsOfTwoNodesAreRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t)
	a, b := startNode(t, url), startNode(t, url)
	createUser(t, merlon("--config", a.config).in(a.dir), "warden", passphrase, "user")
	const former = "3f9b2c71d84e60a5f7c1290eb46d8a53"
	next := strings.TrimSpace(run(t, merlon("secrets", "generate")).stdout)
	plain := onPostgres(url)
	with := func(key, previous string) string {
		text := strings.Replace(plain, "secret_key: "+former, "secret_key: "+key, 1)
		if previous != "" {
			text += "secret_key_previous: [" + previous + "]\n"
		}
		return text
	}

	var ended atomic.Bool
	var users sync.WaitGroup
	var rounds [2]atomic.Int64
	for i, home := range []node{a, b} {
		in := home.call(t, 200, "POST", "/api/v1/auth/login", credentials("warden", passphrase))
		session, err := sessionOf(in)
		if err != nil {
			t.Fatal(err)
		}
		tokens := decode[pair](t, home.call(t, 200, "POST", "/api/v1/auth/token", grant("warden", passphrase)))
		access, refresh := tokens.Access, tokens.Refresh
		users.Go(func() {
			for !ended.Load() {
				for _, n := range []node{a, b} {
					ask := func(c client, want int, method, path string, body any) answer {
						got, err := c.try(method, path, body)
						if err != nil || got.status != want {
							t.Errorf("%s %s: %v, status %d: %s", method, path, err, got.status, got.body)
							ended.Store(true)
						}
						return got
					}
					ask(n.as(session.headers()...), 200, "PATCH", "/api/v1/users/me", members{"full_name": "Ada"})
					ask(bearer(n.service, access), 200, "GET", "/api/v1/users/me", nil)
					var renewed pair
					_ = json.Unmarshal(ask(n.client, 200, "POST", "/api/v1/auth/token", renewal(refresh)).body, &renewed)
					refresh = renewed.Refresh
				}
				rounds[i].Add(1)
			}
		})
	}

	reloads := 0
	step := func(text string) {
		t.Helper()
		reloads++
		for _, n := range []node{a, b} {
			write(t, n.dir, "merlon.yaml", text) // which the node sees by itself
			eventually(t, "the settings are in force", func() bool {
				return strings.Count(n.stderr.String(), "reload: other settings are in force") == reloads
			})
			busy := rounds[0].Load()
			eventually(t, "both are used", func() bool { return ended.Load() || rounds[0].Load() > busy+1 })
		}
	}
	step(with(former, next))
	step(with(next, former))

	// A key of access tokens that is rotated, and signs at once.
	made := run(t, merlon("tokens", "rotate", "--notice", "0s", "--json", "--config", a.config).in(a.dir))
	var key struct{ Kid string }
	if err := json.Unmarshal([]byte(made.stdout), &key); err != nil || made.code != 0 || key.Kid == "" {
		t.Fatalf("exit %d, %v: %s%s", made.code, err, made.stdout, made.stderr)
	}
	// Until both have seen it, the one that has not refuses what it signs, which is told to those who give no notice.
	ended.Store(true)
	users.Wait()
	for _, n := range []node{a, b} {
		n.signal(syscall.SIGHUP)
		eventually(t, "the new key is published", func() bool {
			return strings.Contains(string(n.call(t, 200, "GET", "/.well-known/jwks.json", nil).body), key.Kid)
		})
	}
	tokens := decode[pair](t, a.call(t, 200, "POST", "/api/v1/auth/token", grant("warden", passphrase)))
	bearer(b.service, tokens.Access).call(t, 200, "GET", "/api/v1/users/me", nil)

	leaked := run(t, merlon("tokens", "rotate", "--leaked", "--config", a.config).in(a.dir))
	if leaked.code != 0 || !strings.Contains(leaked.stdout, "2 other keys are deleted") {
		t.Errorf("exit %d: %s%s", leaked.code, leaked.stdout, leaked.stderr)
	}
	for _, n := range []node{a, b} {
		n.signal(syscall.SIGHUP)
		eventually(t, "tokens of the key that leaked are refused", func() bool {
			got, err := bearer(n.service, tokens.Access).try("GET", "/api/v1/users/me", nil)
			return err == nil && got.status == 401
		})
	}
	renewed := decode[pair](t, b.call(t, 200, "POST", "/api/v1/auth/token", renewal(tokens.Refresh)))
	bearer(a.service, renewed.Access).call(t, 200, "GET", "/api/v1/users/me", nil)

	for i := range rounds {
		if rounds[i].Load() < 2 {
			t.Errorf("user %d did everything %d times", i, rounds[i].Load())
		}
	}
	for _, n := range []node{a, b} {
		n.stop()
		var kinds []string
		for _, e := range logged(t, filepath.Join(n.dir, "logs", "security.log")) {
			if e.Type == "sys_config_changed" {
				kinds = append(kinds, fmt.Sprint(e.Outcome))
			}
		}
		if len(kinds) < 2 {
			t.Errorf("events of the reloads: %v", kinds)
		}
	}
}
