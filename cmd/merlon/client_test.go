//go:build unix

package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The server under test refuses and answers; redirects and proxies of the
// environment would hide that.
func newTransport() *http.Transport { return &http.Transport{} }

// A client talks to one server.
type client struct {
	url       string
	transport http.RoundTripper
	header    []string // of every request: name, value, ...
}

func newClient(t *testing.T, url string, header ...string) client {
	tr := newTransport()
	t.Cleanup(tr.CloseIdleConnections)
	return client{url, tr, header}
}

// as returns a client that sends more headers.
func (c client) as(header ...string) client {
	c.header = append(c.header[:len(c.header):len(c.header)], header...)
	return c
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// try makes a request. A nil body sends none; others are sent as JSON.
func (c client) try(method, path string, body any, header ...string) (answer, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, c.url+path, payload)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	all := append(c.header[:len(c.header):len(c.header)], header...)
	for i := 0; i < len(all); i += 2 {
		if all[i] == "Host" {
			req.Host = all[i+1]
			continue
		}
		req.Header.Add(all[i], all[i+1])
	}
	hc := &http.Client{Transport: c.transport, Timeout: patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := hc.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err
}

// call makes a request that must be answered, with this status.
func (c client) call(t *testing.T, want int, method, path string, body any, header ...string) answer {
	t.Helper()
	a, err := c.try(method, path, body, header...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if a.status != want {
		t.Fatalf("%s %s: status %d, want %d: %s", method, path, a.status, want, a.body)
	}
	return a
}

// refused makes a request that must be refused like this.
func (c client) refused(t *testing.T, status int, code, method, path string, body any, header ...string) answer {
	t.Helper()
	a := c.call(t, status, method, path, body, header...)
	if got := a.code(); got != code {
		t.Fatalf("%s %s: code %q, want %q: %s", method, path, got, code, a.body)
	}
	return a
}

// get decodes the answer to a GET.
func get[T any](t *testing.T, c client, path string) T {
	t.Helper()
	return decode[T](t, c.call(t, 200, "GET", path, nil))
}

func decode[T any](t *testing.T, a answer) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return v
}

// code is the code of the problem that a is, if it is one: a document, or the page
// that people get.
func (a answer) code() string {
	if strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		_, rest, _ := strings.Cut(string(a.body), fmt.Sprintf("<small>Status %d, ", a.status))
		code, _, _ := strings.Cut(rest, ". Request ")
		return code
	}
	var p struct{ Code string }
	if a.header.Get("Content-Type") != "application/problem+json" || json.Unmarshal(a.body, &p) != nil {
		return ""
	}
	return p.Code
}

// members is a JSON object.
type members map[string]any

// credentials are the body of a login.
func credentials(username, password string) members {
	return members{"username": username, "password": password}
}

// newcomer is the body of a registration.
func newcomer(name string) members {
	return members{"username": name, "email": name + "@example.com", "password": passphrase}
}

// A session is what a login gives.
type session struct {
	cookie, csrf string
}

const cookieName = "__Host-merlon_session"

// headers are what a browser and its page send.
func (s session) headers() []string {
	return []string{"Cookie", cookieName + "=" + s.cookie, "X-CSRF-Token", s.csrf}
}

// sessionOf reads the answer to a login.
func sessionOf(a answer) (session, error) {
	var body struct {
		CSRFToken string `json:"csrf_token"`
	}
	if a.status != 200 {
		return session{}, fmt.Errorf("login: status %d: %s", a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		return session{}, err
	}
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Name == cookieName {
			return session{cookie.Value, body.CSRFToken}, nil
		}
	}
	return session{}, fmt.Errorf("no cookie in %v", a.header)
}

// login returns c with a new session.
func (c client) login(t *testing.T, username, password string) client {
	t.Helper()
	s, err := sessionOf(c.call(t, 200, "POST", "/api/v1/auth/login", credentials(username, password)))
	if err != nil {
		t.Fatal(err)
	}
	return c.as(s.headers()...)
}

// An event is one of the members that the API shows.
type event struct {
	ID        string         `json:"id"`
	Time      time.Time      `json:"time"`
	Type      string         `json:"type"`
	Category  string         `json:"category"`
	Severity  string         `json:"severity"`
	Outcome   string         `json:"outcome"`
	RequestID string         `json:"request_id"`
	Address   string         `json:"address"`
	Principal string         `json:"principal"`
	Route     string         `json:"route"`
	Detail    map[string]any `json:"detail"`
}

// events returns all events that match, oldest first.
func events(t *testing.T, admin client, filter string) []event {
	t.Helper()
	var out []event
	cursor := ""
	for {
		page := get[struct {
			Items      []event `json:"items"`
			NextCursor *string `json:"next_cursor"`
		}](t, admin, "/api/v1/events?limit=100&"+filter+"&cursor="+url.QueryEscape(cursor))
		for _, e := range page.Items {
			out = append([]event{e}, out...)
		}
		if page.NextCursor == nil {
			return out
		}
		cursor = *page.NextCursor
	}
}

// logged returns the events of a log file. Every line must be one.
func logged(t *testing.T, path string) []event {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Errorf("%s: the last line has no end: %q", path, text[max(0, len(text)-200):])
	}
	var out []event
	for i, l := range lines(string(text)) {
		var e event
		if err := json.Unmarshal([]byte(l), &e); err != nil || e.ID == "" || e.Type == "" || e.Severity == "" {
			t.Errorf("%s:%d: not an event (%v): %q", path, i+1, err, l)
			continue
		}
		out = append(out, e)
	}
	return out
}

// unsigned returns events without the checkpoints, the last of which covers the end.
func unsigned(events []event) []event {
	return slices.DeleteFunc(events, func(e event) bool { return e.Type == "sys_log_checkpoint" })
}

// count returns how many events are of the type.
func count(events []event, kind string) int {
	n := 0
	for _, e := range events {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// samples are what `demo --json` prints.
type samples struct {
	URL    string `json:"url"`
	Admin  sample `json:"admin"`
	User   sample `json:"user"`
	APIKey string `json:"api_key"`
}

type sample struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// secret is the part of the key that proves it.
func (s samples) secret() string { return s.APIKey[strings.LastIndexByte(s.APIKey, '_')+1:] }

// A demo is a running `merlon demo --json`.
type demo struct {
	*process
	client
	samples
}

// startDemo starts a demo on a free port and returns when it has printed its line.
func startDemo(t *testing.T, i invocation) demo {
	t.Helper()
	i.args = append([]string{"demo", "--json", "--listen", "127.0.0.1:0"}, i.args...)
	p := start(t, i)
	line := p.line(p.stdout, `(.*)`)[1]
	var s samples
	d := json.NewDecoder(strings.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return demo{p, newClient(t, s.URL), s}
}

// A service is a running `merlon serve`.
type service struct {
	*process
	client
	address string
}

// startService starts a service on a free port and returns when it serves.
func startService(t *testing.T, i invocation) service {
	t.Helper()
	i.args = append([]string{"serve", "--listen", "127.0.0.1:0"}, i.args...)
	p := start(t, i)
	address := p.line(p.stderr, `time=\S+ level=INFO msg=serving .*address=(\S+).*`)[1]
	return service{p, newClient(t, "http://"+address), address}
}

// Of development, without limits that a test could meet.
const developmentConfig = `environment: development
secret_key: 3f9b2c71d84e60a5f7c1290eb46d8a53
database_url: sqlite:data/merlon.db
audit: {log: logs/security.log}
rate_limits:
  default: {limit: 1000000, window: 1m, by: [principal_or_address, route]}
  address: {limit: 1000000, window: 1m}
  bad_credentials: {limit: 1000000, window: 1m}
  rules:
    - {name: login, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password], limit: 1000000, window: 1m, by: [address], count: failures}
    - {name: register, match: [POST /api/v1/users], limit: 1000000, window: 1m, by: [address]}
`

// createUser creates an account with the command.
func createUser(t *testing.T, i invocation, username, password, role string) {
	t.Helper()
	i.args = append([]string{"users", "create", "--username", username, "--email", username + "@example.com", "--role", role, "--password-stdin"}, i.args...)
	if r := run(t, i.reading(password+"\n")); r.code != 0 {
		t.Fatalf("users create: exit %d: %s", r.code, r.stderr)
	}
}

// A password of the tests, and no one's.
const passphrase = "crenel merlon embrasure 71"
