package linear_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/merlonhq/merlon/e2e/postgrestest"
)

// bound is how long a process may go on with what another one has ended.
const bound = time.Second

// settings let clients do much; the secret key is nobody's.
const settings = `environment: development
secret_key: %s
database_url: %q
listen: %s
audit: {log: %s}
tokens: {issuer: "https://api.example.com"} # else it is the address that a node listens on
rate_limits:
  default: {limit: 1000000, window: 1m, by: [principal_or_address, route]}
  address: {limit: 1000000, window: 1m}
  bad_credentials: {limit: 1000000, window: 1m}
  rules:
    - {name: login, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password], limit: 1000000, window: 1m, by: [address], count: failures}
    - {name: register, match: [POST /api/v1/users], limit: 1000000, window: 1m, by: [address]}
`

// processes starts the program twice on one PostgreSQL.
func processes(t *testing.T) []node {
	t.Helper()
	url := postgrestest.Database(t)
	dir := t.TempDir()
	binary := filepath.Join(dir, "merlon")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/merlon")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	secret := rand.Text() + rand.Text()
	var nodes []node
	for i := range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		file := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		text := fmt.Sprintf(settings, secret, url, address, filepath.Join(dir, fmt.Sprintf("%d.log", i)))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "serve", "--config", file)
		var said bytes.Buffer
		cmd.Stderr = &said // read once it has ended
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		t.Cleanup(func() {
			cmd.Process.Signal(syscall.SIGTERM) // may have ended
			if err := <-ended; err != nil || t.Failed() {
				t.Errorf("the program ended: %v\n%s", err, &said)
			}
		})
		n := node("http://" + address)
		for end := time.Now().Add(patience); n.do("GET", "/health/ready", nil, "").status != 200; time.Sleep(50 * time.Millisecond) {
			select {
			case err := <-ended:
				ended <- err
				t.Fatal("the program does not serve")
			default:
			}
			if time.Now().After(end) {
				t.Fatal("the program does not serve")
			}
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// A node is the address of a process.
type node string

// A reply is an answer: status 0 when there was none.
type reply struct {
	status int
	ID     string `json:"id"`
	Key    string `json:"key"`
	Access string `json:"access_token"`
	Next   string `json:"refresh_token"`
}

var web = &http.Client{Timeout: patience}

// do makes a request. credential is a header, or empty.
func (n node) do(method, path string, body any, credential string) (r reply) {
	text, err := json.Marshal(body)
	if err != nil {
		return r
	}
	req, err := http.NewRequest(method, string(n)+path, bytes.NewReader(text))
	if err != nil {
		return r
	}
	req.Header.Set("Content-Type", "application/json")
	if body == nil {
		req.Body, req.ContentLength = http.NoBody, 0
		req.Header.Del("Content-Type")
	}
	if name, value, ok := strings.Cut(credential, ": "); ok {
		req.Header.Set(name, value)
	}
	resp, err := web.Do(req)
	if err != nil {
		return r
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	if err != nil {
		return r
	}
	r.status = resp.StatusCode
	if len(text) > 0 && json.Unmarshal(text, &r) != nil {
		r.status = 0
	}
	return r
}

type body map[string]any

const passphrase = "correct heron battery lantern"

// person registers somebody and returns the answer of a login.
func (n node) person(t *testing.T, name string) reply {
	t.Helper()
	if r := n.do("POST", "/api/v1/users", body{"username": name, "email": name + "@example.com", "password": passphrase}, ""); r.status != 201 {
		t.Fatalf("registration: status %d", r.status)
	}
	r := n.do("POST", "/api/v1/auth/token", body{"grant_type": "password", "username": name, "password": passphrase}, "")
	if r.status != 200 {
		t.Fatalf("login: status %d", r.status)
	}
	return r
}

// meaning names the status of an answer; an outage, and no answer, leave it open what has happened.
func meaning(t *testing.T, r reply, of map[int]string) string {
	if said := of[r.status]; said != "" {
		return said
	}
	if r.status != 0 && r.status != 503 {
		t.Errorf("status %d is no answer here", r.status)
	}
	return "unknown"
}

// Two processes on PostgreSQL are linearizable too, but for the bound: an accepted key may have been revoked by the
// other process up to a second before the request came. In the model such a request begins a second earlier. A refusal
// has no such grace.
func TestKeysOfTwoProcesses(t *testing.T) {
	nodes := processes(t)
	h := newHistory()
	s := seed(t)
	var owners sync.WaitGroup
	for f := range 4 {
		owner := nodes[0].person(t, fmt.Sprintf("owner%d", f))
		credential := "Authorization: Bearer " + owner.Access
		first := nodes[0].do("POST", "/api/v1/api-keys", body{"name": "first", "scopes": []string{"keys:manage"}}, credential)
		if first.status != 201 {
			t.Fatalf("the first key: status %d", first.status)
		}
		keys := newFamily(first.Key, first.ID)
		owners.Go(func() {
			together(4, s+uint64(f), func(client int, r *mathrand.Rand) {
				use := func(c keyCall) {
					c.family = f
					h.add(4*f+client, c, func() (any, bool, time.Duration) {
						said := callKey(t, nodes[client%2], keys, credential, c)
						if c.kind == "verify" && said == "ok" {
							return keyAnswer{said: said}, true, bound
						}
						return keyAnswer{said: said}, said != "unknown", 0
					})
				}
				for range 10 {
					c := keyCall{kind: "verify", key: keys.pick(r), atOnce: r.IntN(2) == 0}
					if r.IntN(2) == 0 {
						if next, ok := keys.draw(); ok {
							c.kind, c.next = "rotate", next
						}
					}
					use(c)
				}
				// All have a verdict on all keys, one revokes them, and all go on for longer than the bound.
				for _, n := range keys.members() {
					use(keyCall{kind: "verify", key: n})
				}
				for end := time.Now().Add(bound * 8 / 5); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
					for _, n := range keys.members() {
						use(keyCall{kind: "revoke", key: n})
						use(keyCall{kind: "verify", key: n})
					}
				}
			})
		})
	}
	owners.Wait()
	if v := h.verdict(t, keyModel()); v != porcupine.Ok {
		t.Errorf("%d calls: %v, want them linearizable", len(h.ops), v)
	}
	n := h.outcomes(func(op porcupine.Operation) string {
		return op.Input.(keyCall).kind + ": " + op.Output.(keyAnswer).said
	})
	for _, some := range []string{"verify: ok", "verify: refused", "rotate: ok", "revoke: ok", "revoke: not found"} {
		if n[some] == 0 {
			t.Errorf("no call was answered %q: %v", some, n)
		}
	}
	t.Logf("%d calls: %v", len(h.ops), n)
}

func callKey(t *testing.T, n node, f *family, credential string, c keyCall) string {
	text, id := f.of(c.key)
	switch c.kind {
	case "verify":
		return meaning(t, n.do("GET", "/api/v1/api-keys?limit=1", nil, "X-API-Key: "+text), map[int]string{200: "ok", 401: "refused"})
	case "rotate":
		overlap := 86400
		if c.atOnce {
			overlap = 0
		}
		r := n.do("POST", "/api/v1/api-keys/"+id+"/rotate", body{"overlap_seconds": overlap}, credential)
		if r.status == 201 {
			f.born(c.next, r.Key, r.ID)
		}
		return meaning(t, r, map[int]string{201: "ok", 404: "not found", 409: "conflict"})
	}
	return meaning(t, n.do("DELETE", "/api/v1/api-keys/"+id, nil, credential), map[int]string{204: "ok", 404: "not found"})
}

// Refresh tokens have no grace at all. An access token of an ended family has that of keys.
func TestRefreshTokensOfTwoProcesses(t *testing.T) {
	nodes := processes(t)
	h := newHistory()
	s := seed(t)
	const logins = 8
	var families []*family
	for f := range logins {
		first := nodes[0].person(t, fmt.Sprintf("user%d", f))
		one := newFamily(first.Next, "")
		one.born(-1, first.Access, "")
		families = append(families, one)
	}
	together(4, s, func(client int, r *mathrand.Rand) {
		for f := range logins {
			for range 12 {
				c := tokenCall{family: f, kind: "verify"}
				if r.IntN(3) == 0 {
					if next, ok := families[f].draw(); ok {
						known := refreshTokens(families[f])
						c.kind, c.next, c.token = "refresh", next, known[len(known)-1]
					}
				}
				h.add(client, c, func() (any, bool, time.Duration) {
					said := callToken(t, nodes[client%2], families[f], c)
					if c.kind == "verify" && said == "ok" {
						return said, true, bound
					}
					return said, said != "unknown", 0
				})
			}
		}
	})
	if v := h.verdict(t, tokenModel()); v != porcupine.Ok {
		t.Errorf("%d calls: %v, want them linearizable", len(h.ops), v)
	}
	n := h.outcomes(func(op porcupine.Operation) string { return op.Input.(tokenCall).kind + ": " + op.Output.(string) })
	for _, some := range []string{"verify: ok", "refresh: ok"} {
		if n[some] == 0 {
			t.Errorf("no call was answered %q: %v", some, n)
		}
	}
	t.Logf("%d calls: %v", len(h.ops), n)
}

func callToken(t *testing.T, n node, f *family, c tokenCall) string {
	if c.kind == "verify" {
		access, _ := f.of(-1)
		return meaning(t, n.do("GET", "/api/v1/users/me", nil, "Authorization: Bearer "+access), map[int]string{200: "ok", 401: "refused"})
	}
	text, _ := f.of(c.token)
	r := n.do("POST", "/api/v1/auth/token", body{"grant_type": "refresh_token", "refresh_token": text}, "")
	if r.status == 200 {
		f.born(c.next, r.Next, "")
	}
	return meaning(t, r, map[int]string{200: "ok", 401: "refused"})
}
