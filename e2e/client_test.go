package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// client is a caller with an address and a cookie jar of its own. The jar is its
// own too: that of net/http keeps Secure cookies off plain HTTP, also on loopback,
// where browsers and curl do send them.
type client struct {
	s       *server
	http    *http.Client
	address string
	jarMu   sync.Mutex
	jar     map[string]string
	csrf    string // the token of the session, once logged in
	id      string // of the account, once known
	account account
}

// client returns a new client with an address that no other client of s has.
func (s *server) client(t *testing.T) *client {
	t.Helper()
	n := s.addresses.Add(1)
	c := &client{s: s, address: fmt.Sprintf("127.1.%d.%d", n/250, n%250+1), jar: map[string]string{}}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.address)}, Timeout: 10 * time.Second}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		},
		DisableCompression: true,
	}
	c.http = &http.Client{
		Transport:     transport,
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(transport.CloseIdleConnections)
	return c
}

// elsewhere returns the caller c, with its cookies, at another address.
func (c *client) elsewhere(t *testing.T) *client {
	t.Helper()
	d := c.s.client(t)
	for k, v := range c.jar {
		d.jar[k] = v
	}
	d.csrf, d.id, d.account = c.csrf, c.id, c.account
	return d
}

// answer is an answer with the request it answers.
type answer struct {
	method, path string
	status       int
	header       http.Header
	body         []byte
	address      string    // of the client
	sent, came   time.Time // before the request, after the answer
}

// do sends a request and checks of the answer what holds for all answers.
//
// The path is sent as it is, query included. A body that is a string or bytes is
// sent as it is too, nil is none, and all else is JSON. Headers are "Name: value";
// a Content-Type of application/json is added to bodies unless the headers name
// one, and "Content-Type:" sends none.
func (c *client) do(t *testing.T, method, path string, body any, headers ...string) *answer {
	t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case []byte:
		reader = bytes.NewReader(b)
	case io.Reader:
		reader = b // of unknown length: sent in chunks
	default:
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, c.s.url, reader)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = path
	req.Header.Set("User-Agent", "merlon-e2e/1")
	typed := body == nil
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		value = strings.TrimSpace(value)
		typed = typed || strings.EqualFold(name, "Content-Type")
		switch {
		case value == "" && strings.EqualFold(name, "Content-Type"):
		case strings.EqualFold(name, "Host"):
			req.Host = value
		default:
			req.Header.Add(name, value)
		}
	}
	if !typed {
		req.Header.Set("Content-Type", "application/json")
	}
	c.jarMu.Lock()
	for name, value := range c.jar {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	c.jarMu.Unlock()
	a := &answer{method: method, path: path, address: c.address, sent: time.Now()}
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatalf("%s %s: reading the answer: %v", method, path, err)
	}
	a.status, a.header, a.came = resp.StatusCode, resp.Header, time.Now()
	c.keep(resp.Cookies())
	checkAnswer(t, a)
	// An API key is a secret once its creation was answered, and in no other answer.
	if what := c.s.shown(string(a.body)); what != "" {
		t.Errorf("%s %s (%d): the answer holds %s", method, path, a.status, what)
	}
	return a
}

// keep puts cookies into the jar, or takes out what has ended.
func (c *client) keep(cookies []*http.Cookie) {
	c.jarMu.Lock()
	defer c.jarMu.Unlock()
	for _, cookie := range cookies {
		if cookie.MaxAge < 0 || cookie.Value == "" {
			delete(c.jar, cookie.Name)
			continue
		}
		c.jar[cookie.Name] = cookie.Value
		if cookie.Name == sessionCookie {
			c.s.secret("a session token", cookie.Value)
		}
	}
}

// act is do with the CSRF token of the session.
func (c *client) act(t *testing.T, method, path string, body any, headers ...string) *answer {
	t.Helper()
	return c.do(t, method, path, body, append(headers, "X-CSRF-Token: "+c.csrf)...)
}

// with is do with an API key and without cookies.
func (c *client) with(t *testing.T, key, method, path string, body any, headers ...string) *answer {
	t.Helper()
	jar := c.jar
	c.jar = map[string]string{}
	defer func() { c.jar = jar }()
	return c.do(t, method, path, body, append(headers, "X-API-Key: "+key)...)
}

// object is a JSON object to send, or one that came.
type object = map[string]any

// login logs c in, and returns it.
func (c *client) login(t *testing.T, who account) *client {
	t.Helper()
	a := c.do(t, "POST", "/api/v1/auth/login", object{"username": who.Username, "password": who.Password}).want(t, 200)
	c.csrf, c.id, c.account = a.text(t, "csrf_token"), a.text(t, "user", "id"), who
	return c
}

// logout ends the session.
func (c *client) logout(t *testing.T) *answer {
	t.Helper()
	return c.act(t, "POST", "/api/v1/auth/logout", nil).want(t, 204)
}

// register makes a new account, and returns a client that is logged in to it.
func (s *server) register(t *testing.T) *client {
	t.Helper()
	c := s.client(t)
	who := account{s.name("ada"), "eleven crenels in a row"}
	s.secret("a password", who.Password)
	c.do(t, "POST", "/api/v1/users", object{"username": who.Username, "email": who.Username + "@example.com", "password": who.Password}).want(t, 201)
	return c.login(t, who)
}

// asUser returns a client that is logged in as the sample user.
func (s *server) asUser(t *testing.T) *client { t.Helper(); return s.client(t).login(t, s.user) }

// asAdmin returns a client that is logged in as the sample admin.
func (s *server) asAdmin(t *testing.T) *client {
	t.Helper()
	s.adminOnce.Do(func() { s.adminer = s.client(t).login(t, s.admin) })
	return s.adminer.elsewhere(t)
}

// want checks the status, and that an answer without an error is JSON.
func (a *answer) want(t *testing.T, status int) *answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("%s %s: status %d, want %d: %s", a.method, a.path, a.status, status, a.body)
	}
	return a
}

// wantProblem checks the status and the code of a problem, and the members at
// fault, each as "pointer code", if any are given.
func (a *answer) wantProblem(t *testing.T, status int, code string, members ...string) *answer {
	t.Helper()
	if a.status != status {
		t.Errorf("%s %s: status %d, want %d %s: %s", a.method, a.path, a.status, status, code, a.body)
		return a
	}
	var doc problemDocument
	if err := json.Unmarshal(a.body, &doc); err != nil {
		t.Errorf("%s %s: %v: %s", a.method, a.path, err, a.body)
		return a
	}
	if doc.Code != code {
		t.Errorf("%s %s: code %q, want %q: %s", a.method, a.path, doc.Code, code, a.body)
	}
	if len(members) > 0 {
		var got []string
		for _, e := range doc.Errors {
			got = append(got, e.Pointer+" "+e.Code)
		}
		if !sameSet(got, members) {
			t.Errorf("%s %s: errors %q, want %q", a.method, a.path, got, members)
		}
	}
	return a
}

// object returns the body.
func (a *answer) object(t *testing.T) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(a.body, &o); err != nil {
		t.Fatalf("%s %s: %v: %s", a.method, a.path, err, a.body)
	}
	return o
}

// at returns a member of the body.
func (a *answer) at(t *testing.T, path ...string) any {
	t.Helper()
	var v any = a.object(t)
	for _, name := range path {
		o, ok := v.(object)
		if !ok {
			t.Fatalf("%s %s: no member %q: %s", a.method, a.path, path, a.body)
		}
		if v, ok = o[name]; !ok {
			t.Fatalf("%s %s: no member %q: %s", a.method, a.path, path, a.body)
		}
	}
	return v
}

// text returns a member that is a string.
func (a *answer) text(t *testing.T, path ...string) string {
	t.Helper()
	s, ok := a.at(t, path...).(string)
	if !ok {
		t.Fatalf("%s %s: member %q is not a string: %s", a.method, a.path, path, a.body)
	}
	return s
}

// items returns the objects of a list.
func (a *answer) items(t *testing.T) []object {
	t.Helper()
	list, ok := a.want(t, 200).at(t, "items").([]any)
	if !ok {
		t.Fatalf("%s %s: items is not a list: %s", a.method, a.path, a.body)
	}
	out := make([]object, len(list))
	for i, v := range list {
		out[i], _ = v.(object)
	}
	return out
}

// all returns the objects of all pages of a list, read by pages of the given size.
func (c *client) all(t *testing.T, path string, size int) []object {
	t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	var out []object
	cursor := ""
	for range 100 {
		at := fmt.Sprintf("%s%slimit=%d", path, sep, size)
		if cursor != "" {
			at += "&cursor=" + url.QueryEscape(cursor)
		}
		a := c.do(t, "GET", at, nil)
		items := a.items(t)
		if len(items) > size {
			t.Errorf("GET %s: %d items", at, len(items))
		}
		out = append(out, items...)
		next, more := a.at(t, "next_cursor").(string)
		if !more {
			return out
		}
		cursor = next
	}
	t.Fatalf("GET %s: the list has no end", path)
	return nil
}

func sameSet(a, b []string) bool {
	count := map[string]int{}
	for _, s := range a {
		count[s]++
	}
	for _, s := range b {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
