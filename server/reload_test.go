package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/internal/sqlite"
	"github.com/merlonhq/merlon/server/module"
)

// reloading is a server whose settings are a file that the test writes.
type reloading struct {
	*server.Server
	url, dir string
	log      *lines
	src      server.Source
	held     chan chan struct{} // a call of GET /api/v1/hold sends what it waits for
	base     string
}

const spare = `rate_limits:
  default: {limit: 1000000, window: 1m, by: [principal_or_address, route]}
  address: {limit: 1000000, window: 1m}
  bad_credentials: {limit: 1000000, window: 1m}
  rules:
    - {name: login, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password], limit: 1000000, window: 1m, by: [address], count: failures}
    - {name: register, match: [POST /api/v1/users], limit: 1000000, window: 1m, by: [address]}
`

// key returns a new secret key.
func key() string { return rand.Text() + rand.Text() }

func startReloading(t *testing.T, more string) *reloading {
	t.Helper()
	r := &reloading{dir: t.TempDir(), log: &lines{}, held: make(chan chan struct{})}
	r.base = "environment: development\ndatabase_url: sqlite:" + filepath.Join(r.dir, "merlon.db") +
		"\naudit: {log: " + filepath.Join(r.dir, "security.log") + ", checkpoint_interval: 1s, addresses: hashed}\n"
	r.src = server.Source{File: filepath.Join(r.dir, "merlon.yaml"), Listen: "127.0.0.1:0"}
	r.write(t, more)
	set, problems := server.CheckSettings(r.src)
	if server.Fatal(problems) {
		t.Fatal(problems)
	}
	var err error
	r.Server, err = server.New(t.Context(), server.Config{Settings: set, Version: "test", Log: slog.New(slog.NewTextHandler(r.log, nil)), Modules: []module.Module{{
		Name: "tests",
		Routes: func(module.Host) []module.Route {
			return []module.Route{
				{Policy: route.Route{Pattern: "GET /api/v1/light", Public: true}, Summary: "At once", Endpoint: module.Bare(204, func(*module.Call) (module.None, error) { return module.None{}, nil })},
				{Policy: route.Route{Pattern: "GET /api/v1/hold", Public: true}, Summary: "Waits", Endpoint: module.Bare(204, func(*module.Call) (module.None, error) {
					wait := make(chan struct{})
					r.held <- wait
					<-wait
					return module.None{}, nil
				})},
			}
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + r.Addr()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

// write writes the settings file: what all of them have, and more.
func (r *reloading) write(t *testing.T, more string) {
	t.Helper()
	if err := os.WriteFile(r.src.File, []byte(r.base+more), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload writes the settings and puts them in force.
func (r *reloading) reload(t *testing.T, more string) {
	t.Helper()
	r.write(t, more)
	if err := r.Reload(t.Context(), r.src); err != nil {
		t.Fatalf("%v:\n%s", err, r.log)
	}
}

// refused writes settings that are not to be put in force, and returns what the log says of them.
func (r *reloading) refused(t *testing.T, more string) string {
	t.Helper()
	before := len(r.log.String())
	r.write(t, more)
	if err := r.Reload(t.Context(), r.src); err == nil {
		t.Fatalf("put in force:\n%s", more)
	}
	return r.log.String()[before:]
}

// ask returns the status and the headers of an answer.
func (r *reloading) ask(t *testing.T, method, path, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	status, h, text, err := r.try(method, path, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return status, h, text
}

func (r *reloading) try(method, path, body string, header ...string) (int, http.Header, string, error) {
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(text), err
}

// changes returns the events sys_config_changed of the log, each as "outcome what settings".
func (r *reloading) changes(t *testing.T, n int) []string {
	t.Helper()
	var out []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(r.dir, "security.log"))
		if err != nil {
			t.Fatal(err)
		}
		out = nil
		for line := range strings.Lines(string(text)) {
			var e struct {
				Type, Outcome string
				Detail        map[string]any
			}
			if json.Unmarshal([]byte(line), &e) == nil && e.Type == "sys_config_changed" {
				out = append(out, strings.TrimSuffix(fmt.Sprintf("%s %v %v", e.Outcome, e.Detail["what"], e.Detail["settings"]), " <nil>"))
			}
		}
		if len(out) >= n {
			break
		}
	}
	return out
}

func TestAReloadPutsSettingsInForce(t *testing.T) {
	t.Parallel()
	secret := "secret_key: " + key() + "\n"
	r := startReloading(t, secret)
	listed := func(origin string) bool {
		_, h, _ := r.ask(t, "GET", "/csrf/token", "", "Origin", origin)
		return h.Get("Access-Control-Allow-Origin") == origin
	}
	if listed("https://app.example.com") {
		t.Fatal("an origin is listed before it is")
	}
	r.reload(t, secret+"origins: [\"https://app.example.com\"]\nheaders: {profile: web}\nsecurity_contact: mailto:security@example.com\n")
	if !listed("https://app.example.com") || listed("http://localhost:3000") {
		t.Error("the origins are those from before")
	}
	_, h, _ := r.ask(t, "GET", "/csrf/token", "")
	if !strings.Contains(h.Get("Permissions-Policy"), "camera=()") {
		t.Errorf("the headers are those from before: %v", h)
	}
	if status, _, text := r.ask(t, "GET", "/.well-known/security.txt", ""); status != 200 || !strings.Contains(text, "mailto:security@example.com") {
		t.Errorf("security.txt: %d %s", status, text)
	}
	r.reload(t, secret) // and back
	if status, _, _ := r.ask(t, "GET", "/.well-known/security.txt", ""); status != 404 || listed("https://app.example.com") {
		t.Errorf("what was taken back is in force: security.txt %d", status)
	}
	r.reload(t, secret) // nothing is another: no event
	const names = "success settings origins security_contact headers.profile"
	if got := strings.Join(r.changes(t, 2), "\n"); got != names+"\n"+names {
		t.Errorf("events:\n%s", got)
	}
	if strings.Contains(r.log.String(), "merlon.N003") {
		t.Error("a reload is told of as a mistake")
	}
}

func TestAReloadThatIsWrongChangesNothing(t *testing.T) {
	t.Parallel()
	secret := "secret_key: " + key() + "\n"
	r := startReloading(t, secret)
	const good = "security_contact: mailto:security@example.com\n" // beside what is wrong
	for _, tt := range []struct {
		name, more string
		want       []string
	}{
		{"problems are told of by their ids, all of them", secret + good + "hsts: 1\norigins: [\"https://app.example.com/\"]\n", []string{"merlon.E003", "merlon.E017"}},
		{"no YAML", secret + good + "origins: [\n", []string{"merlon.E002"}},
		{"what takes a restart is named, each with its reason", secret + good + "operations_listen: 127.0.0.1:0\nredirect_listen: \"127.0.0.1:0\"\ntls: {cert: none.pem, key: none.pem}\n",
			[]string{"merlon.E052"}},
		{"a listener", secret + good + "operations_listen: 127.0.0.1:0\nrate_limits: {store_timeout: 50ms}\n",
			[]string{"setting=operations_listen", "setting=rate_limits.store_timeout", "takes a restart"}},
		{"a key that is there twice", secret + good + "environment: development\n", []string{"merlon.E004"}},
	} {
		told := r.refused(t, tt.more)
		for _, want := range tt.want {
			if !strings.Contains(told, want) {
				t.Errorf("%s: no %s in\n%s", tt.name, want, told)
			}
		}
		if status, _, _ := r.ask(t, "GET", "/.well-known/security.txt", ""); status != 404 {
			t.Errorf("%s: what is right beside it is in force", tt.name)
		}
	}
	if err := os.Remove(r.src.File); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context(), r.src); err == nil {
		t.Error("no file at all is put in force")
	}
	r.reload(t, secret+good) // the nearest that is right
	if status, _, _ := r.ask(t, "GET", "/.well-known/security.txt", ""); status != 200 {
		t.Error("what is right is not in force")
	}
	got := r.changes(t, 7)
	if len(got) != 7 || got[6] != "success settings security_contact" {
		t.Fatalf("events: %q", got)
	}
	for i, e := range got[:6] {
		if !strings.HasPrefix(e, "failure ") {
			t.Errorf("event %d: %s", i, e)
		}
	}
	if got[3] != "failure settings operations_listen rate_limits.store_timeout" {
		t.Errorf("what needs a restart: %s", got[3])
	}
}

func TestACriticalFindingRefusesAReloadInProduction(t *testing.T) {
	t.Parallel()
	// Behind a proxy, so that the tests need no certificate.
	more := "environment: production\nhosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\nlisten: 127.0.0.1:0\nsecret_key: "
	secret := key()
	r := &reloading{}
	*r = *startReloadingProduction(t, more+secret+"\n")
	var critical string
	for _, c := range server.Checks() {
		if c.Severity == "critical" && strings.HasPrefix(c.ID, "merlon.W") {
			critical = c.ID
			break
		}
	}
	if critical == "" {
		t.Skip("no finding is critical")
	}
	if err := os.Chmod(r.src.File, 0o666); err != nil { // anybody may write the settings
		t.Fatal(err)
	}
	before := len(r.log.String())
	if err := r.Reload(t.Context(), r.src); err == nil {
		t.Errorf("settings that anybody may write were put in force:\n%s", r.log.String()[before:])
	}
	if err := os.Chmod(r.src.File, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context(), r.src); err != nil {
		t.Errorf("its clean neighbour is refused:\n%s", r.log.String()[before:])
	}
}

func startReloadingProduction(t *testing.T, more string) *reloading {
	t.Helper()
	dir := t.TempDir()
	r := &reloading{dir: dir, log: &lines{}, src: server.Source{File: filepath.Join(dir, "merlon.yaml")}}
	r.base = "database_url: sqlite:" + filepath.Join(dir, "data", "merlon.db") + "\naudit: {log: " + filepath.Join(dir, "logs", "security.log") + "}\n"
	r.write(t, more)
	set, problems := server.CheckSettings(r.src)
	if server.Fatal(problems) {
		t.Fatal(problems)
	}
	var err error
	if r.Server, err = server.New(t.Context(), server.Config{Settings: set, Log: slog.New(slog.NewTextHandler(r.log, nil))}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCountsGoOnOverReloads(t *testing.T) {
	t.Parallel()
	limits := func(light, more string) string {
		return "secret_key: 7c1290eb46d8a533f9b2c71d84e60a5f\nrate_limits:\n  rules:\n" +
			"    - {name: light, match: [GET /api/v1/light], limit: " + light + ", window: 1h, by: [address]}\n" +
			"    - {name: login, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password], limit: 5, window: 5m, by: [address], count: failures}\n" +
			"    - {name: register, match: [POST /api/v1/users], limit: 10, window: 1m, by: [address]}\n" + more
	}
	r := startReloading(t, limits("4", ""))
	light := func(want int) {
		t.Helper()
		if status, _, text := r.ask(t, "GET", "/api/v1/light", ""); status != want {
			t.Fatalf("status %d, want %d: %s", status, want, text)
		}
	}
	light(204)
	light(204)
	r.reload(t, limits("4", "cors: {max_age: 1h}\n")) // something else
	light(204)
	r.reload(t, limits("4", ""))
	light(204)
	light(429)
	r.reload(t, limits("6", "")) // another limit counts anew
	light(204)
	// Refusals by former generations are still counted.
	told := r.refused(t, limits("0", ""))
	if !strings.Contains(told, "merlon.E") {
		t.Errorf("a limit of 0:\n%s", told)
	}
	light(204)
}

func TestARequestEndsByThePolicyThatItBeganWith(t *testing.T) {
	t.Parallel()
	secret := "secret_key: " + key() + "\n"
	r := startReloading(t, secret+"hosts: [one.example.com]\n")
	done := make(chan int, 1)
	go func() {
		status, _, _, _ := r.try("GET", "/api/v1/hold", "", "Host", "one.example.com")
		done <- status
	}()
	release := <-r.held
	r.reload(t, secret+"hosts: [two.example.com]\n")
	for host, want := range map[string]int{"one.example.com": 421, "two.example.com": 204} {
		if status, _, _ := r.ask(t, "GET", "/api/v1/light", "", "Host", host); status != want {
			t.Errorf("%s: status %d, want %d", host, status, want)
		}
	}
	close(release)
	if status := <-done; status != 204 {
		t.Errorf("the request in flight: status %d, want 204", status)
	}
}

// person is somebody who has logged in, in each way there is.
type person struct {
	r             *reloading
	cookie, csrf  string
	access, renew string
}

func logIn(t *testing.T, r *reloading, name string) *person {
	t.Helper()
	const password = "moat and portcullis 7"
	if status, _, text := r.ask(t, "POST", "/api/v1/users", fmt.Sprintf(`{"username":%q,"email":"%s@example.com","password":%q}`, name, name, password)); status != 201 {
		t.Fatalf("register: %d %s", status, text)
	}
	status, h, text := r.ask(t, "POST", "/api/v1/auth/login", fmt.Sprintf(`{"username":%q,"password":%q}`, name, password))
	var in struct {
		CSRF string `json:"csrf_token"`
	}
	if err := json.Unmarshal([]byte(text), &in); status != 200 || err != nil {
		t.Fatalf("login: %d %s", status, text)
	}
	p := &person{r: r, csrf: in.CSRF}
	for _, c := range h.Values("Set-Cookie") {
		p.cookie += strings.Split(c, ";")[0] + "; "
	}
	tokens := obtain(t, r.url, withPassword(name, password))
	p.access, p.renew = tokens.AccessToken, tokens.RefreshToken
	return p
}

// works uses everything that the person has, and returns what fails. Refresh tokens are
// good for one use: the next one takes its place.
func (p *person) works() error {
	for _, q := range []struct {
		method, path, body string
		header             []string
	}{
		{"GET", "/api/v1/users/me", "", []string{"Cookie", p.cookie}},
		{"PATCH", "/api/v1/users/me", `{"full_name":"Ada"}`, []string{"Cookie", p.cookie, "X-CSRF-Token", p.csrf}},
		{"GET", "/api/v1/users/me", "", []string{"Authorization", "Bearer " + p.access}},
	} {
		status, _, text, err := p.r.try(q.method, q.path, q.body, q.header...)
		if err != nil || status != 200 {
			return fmt.Errorf("%s %s with %s: %v, status %d: %s", q.method, q.path, q.header[0], err, status, text)
		}
	}
	status, _, text, err := p.r.try("POST", "/api/v1/auth/token", withRefresh(p.renew))
	var next issued
	if err != nil || status != 200 || json.Unmarshal([]byte(text), &next) != nil {
		return fmt.Errorf("refresh: %v, status %d: %s", err, status, text)
	}
	p.renew = next.RefreshToken // the access token from before stays
	return nil
}

// load keeps the people busy until the function that it returns is called, which
// returns how often each of them did everything.
func load(t *testing.T, people []*person) (stop func() (least int64)) {
	t.Helper()
	var ended atomic.Bool
	var wg sync.WaitGroup
	rounds := make([]atomic.Int64, len(people))
	for i, p := range people {
		wg.Go(func() {
			for !ended.Load() {
				if err := p.works(); err != nil {
					t.Error(err)
					return
				}
				rounds[i].Add(1)
			}
		})
	}
	return func() int64 {
		ended.Store(true)
		wg.Wait()
		least := rounds[0].Load()
		for i := range rounds {
			least = min(least, rounds[i].Load())
		}
		return least
	}
}

func TestNoRequestFailsDuringFiftyReloads(t *testing.T) {
	t.Parallel()
	secret := "secret_key: " + key() + "\n" + spare
	r := startReloading(t, secret)
	var people []*person
	for _, name := range []string{"ada", "grace", "joan"} {
		people = append(people, logIn(t, r, name))
	}
	stop := load(t, people)
	for i := range 50 {
		switch i % 5 {
		case 0:
			r.reload(t, secret+"origins: [\"https://app.example.com\"]\n")
		case 1:
			r.reload(t, secret+"sessions: {idle_timeout: 20m}\ntokens: {access_ttl: 10m}\n")
		case 2:
			r.refused(t, secret+"origins: [nothing]\n")
		case 3:
			r.reload(t, secret+"connections: {max: 500, per_address: 400}\npassword: {min_length: 15}\n")
		default:
			r.reload(t, secret)
		}
	}
	if least := stop(); least < 1 {
		t.Error("nobody did anything meanwhile")
	}
}

func TestSecretKeyIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	former, next := key(), key()
	one := spare + "secret_key: " + former + "\n"
	r := startReloading(t, one)
	people := []*person{logIn(t, r, "ada"), logIn(t, r, "grace")}
	stop := load(t, people)
	// Step by step as docs/operating.md has it for several nodes.
	r.reload(t, one+"secret_key_previous: ["+next+"]\n")
	r.reload(t, spare+"secret_key: "+next+"\nsecret_key_previous: ["+former+"]\n")
	during := logIn(t, r, "joan")
	if least := stop(); least < 1 {
		t.Error("nobody did anything meanwhile")
	}
	for _, p := range append(people, during) {
		if err := p.works(); err != nil {
			t.Error(err)
		}
	}
	// The former one is gone: what it signed ends, what was signed since goes on, and so do sessions.
	r.reload(t, spare+"secret_key: "+next+"\n")
	if err := during.works(); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	if status, _, text := r.ask(t, "PATCH", "/api/v1/users/me", `{"full_name":"Ada"}`, "Cookie", people[0].cookie, "X-CSRF-Token", people[0].csrf); status != 403 {
		t.Errorf("a CSRF token of a key that is gone: status %d, want 403: %s", status, text)
	}
	for _, access := range []string{people[0].access, during.access} {
		if status, _ := get(t, r.url+"/api/v1/users/me", access); status != 200 {
			t.Errorf("an access token: status %d, want 200: its key was encrypted anew", status)
		}
	}
	if status, _, _ := r.ask(t, "GET", "/api/v1/users/me", "", "Cookie", people[0].cookie); status != 200 {
		t.Errorf("a session: status %d, want 200", status)
	}
	// No value of a secret is told.
	text, err := os.ReadFile(filepath.Join(r.dir, "security.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{former, next} {
		if bytes.Contains(text, []byte(secret)) || strings.Contains(r.log.String(), secret) {
			t.Error("a secret key is in a log")
		}
	}
}

func TestPseudonymsAndCheckpointsAreOfTheNewSecretKey(t *testing.T) {
	t.Parallel()
	former, next := key(), key()
	r := startReloading(t, "secret_key: "+former+"\n")
	path := filepath.Join(r.dir, "security.log")
	// logged returns the lines of the log once there is one that is wanted.
	logged := func(want func(line string) bool) []string {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if lines := strings.Split(string(text), "\n"); slices.ContainsFunc(lines, want) {
				return lines
			}
		}
		t.Fatal("the log does not have what is waited for")
		return nil
	}
	signedBy := func(secret string) func(string) bool {
		node, err := audit.NodeID(path)
		if err != nil {
			t.Fatal(err)
		}
		private, err := audit.NodeKey([]byte(secret), node)
		if err != nil {
			t.Fatal(err)
		}
		id := audit.KeyID(private.Public().(ed25519.PublicKey))
		return func(line string) bool {
			c, ok := audit.ParseCheckpoint([]byte(line))
			return ok && c.Key == id
		}
	}
	fail := func() {
		t.Helper()
		if status, _, _ := r.ask(t, "POST", "/api/v1/auth/login", `{"username":"nobody","password":"moat and portcullis 7"}`); status != 401 {
			t.Fatalf("status %d, want 401", status)
		}
	}
	fail()
	logged(signedBy(former))
	r.reload(t, "secret_key: "+next+"\nsecret_key_previous: ["+former+"]\n")
	fail()
	var addresses []string
	for _, line := range logged(signedBy(next)) {
		var e struct{ Type, Address string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == "authn_login_fail" {
			addresses = append(addresses, e.Address)
		}
	}
	if len(addresses) != 2 || addresses[0] == addresses[1] || !strings.HasPrefix(addresses[0], "hmac_") || !strings.HasPrefix(addresses[1], "hmac_") {
		t.Errorf("addresses %q, want two different hashes", addresses)
	}
	set, _ := server.LoadSettings(r.src)
	known, err := server.EventKeys(set)
	if err != nil || len(known) != 2 {
		t.Fatalf("%d keys, %v", len(known), err)
	}
	found, err := audit.Verify(audit.VerifyConfig{Files: []string{path}, Keys: []ed25519.PublicKey{known[0].Key, known[1].Key}})
	if err != nil || len(found.Breaks) > 0 || found.Signed < 2 {
		t.Errorf("the log: %+v, %v", found, err)
	}
}

func TestAChangeThatNeedsTheDatabaseIsRefusedWhileItIsAway(t *testing.T) {
	t.Parallel()
	former, next := key(), key()
	r := startReloading(t, spare+"secret_key: "+former+"\n")
	p := logIn(t, r, "ada")
	db, err := sqlite.New(sqlite.Config{Path: filepath.Join(r.dir, "merlon.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	rename := func(from, to string) {
		t.Helper()
		if _, err := db.Writer().ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("token_keys", "away")
	rotated := spare + "secret_key: " + next + "\nsecret_key_previous: [" + former + "]\n"
	r.write(t, rotated)
	if err := r.Reload(t.Context(), r.src); !errors.Is(err, server.ErrLater) {
		t.Errorf("%v, want ErrLater", err)
	}
	if err := p.works(); err != nil {
		t.Errorf("by the settings from before: %v", err)
	}
	r.reload(t, spare+"secret_key: "+former+"\norigins: [\"https://app.example.com\"]\n") // which does not need it
	r.write(t, spare+"nonsense: 1\n")
	if err := r.Reload(t.Context(), r.src); err == nil || errors.Is(err, server.ErrLater) {
		t.Errorf("settings that are wrong: %v, want another error", err)
	}
	rename("away", "token_keys")
	r.reload(t, rotated)
	if err := p.works(); err != nil {
		t.Error(err)
	}
}

func TestASecretKeyThatLeakedIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	r := startReloading(t, spare+"secret_key: "+key()+"\n")
	p := logIn(t, r, "ada")
	r.reload(t, spare+"secret_key: "+key()+"\n")
	if !strings.Contains(r.log.String(), "secret_key_previous does not hold the former one") {
		t.Errorf("the log does not say what has ended:\n%s", r.log)
	}
	if status, _ := get(t, r.url+"/api/v1/users/me", p.access); status != 401 {
		t.Errorf("an access token: status %d, want 401", status)
	}
	if status, _, _ := r.ask(t, "PATCH", "/api/v1/users/me", `{"full_name":"Ada"}`, "Cookie", p.cookie, "X-CSRF-Token", p.csrf); status != 403 {
		t.Errorf("a CSRF token: status %d, want 403", status)
	}
	// Whoever has a refresh token goes on.
	if next := obtain(t, r.url, withRefresh(p.renew)); next.AccessToken == "" {
		t.Error("no new tokens")
	}
}

func TestTokenKeysAreRotatedBesideAServer(t *testing.T) {
	t.Parallel()
	r := startReloading(t, spare+"secret_key: "+key()+"\n")
	p := logIn(t, r, "ada")
	set, _ := server.LoadSettings(r.src)
	stop := load(t, []*person{p, logIn(t, r, "grace")})
	made, err := server.RotateTokenKeys(t.Context(), set, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context(), r.src); err != nil { // or wait for a minute
		t.Fatal(err)
	}
	next := logIn(t, r, "joan")
	if least := stop(); least < 1 {
		t.Error("nobody did anything meanwhile")
	}
	if got := kidOf(t, next.access); got != made.ID {
		t.Errorf("signed by %s, want the new key %s", got, made.ID)
	}
	for _, p := range []*person{p, next} {
		if err := p.works(); err != nil {
			t.Error(err)
		}
	}

	leaked, err := server.RotateTokenKeys(t.Context(), set, time.Hour, true)
	if err != nil || leaked.Removed != 2 {
		t.Fatalf("%+v, %v: want two keys to be removed", leaked, err)
	}
	if err := r.Reload(t.Context(), r.src); err != nil {
		t.Fatal(err)
	}
	for _, access := range []string{p.access, next.access} {
		if status, _ := get(t, r.url+"/api/v1/users/me", access); status != 401 {
			t.Errorf("a token of a key that leaked: status %d, want 401", status)
		}
	}
	renewed := obtain(t, r.url, withRefresh(p.renew))
	if status, _ := get(t, r.url+"/api/v1/users/me", renewed.AccessToken); status != 200 || kidOf(t, renewed.AccessToken) != leaked.ID {
		t.Errorf("a new token: status %d, signed by %s, want 200 and %s", status, kidOf(t, renewed.AccessToken), leaked.ID)
	}
	if _, err := server.RotateTokenKeys(t.Context(), set, 721*time.Hour, false); err == nil {
		t.Error("a notice of 721 hours is accepted")
	}
}

// kidOf returns the kid of an access token.
func kidOf(t *testing.T, access string) string {
	t.Helper()
	header, err := base64.RawURLEncoding.DecodeString(access[:strings.IndexByte(access, '.')])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(header, &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}
