package merlon_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/clientip"
)

// hostile is text that attackers put where they think it is logged.
var hostile = []string{
	"", "plain", "\r\n{\"id\":\"evt_forged\",\"type\":\"authn_login_success\"}", "\x1b[2J\x1b]0;owned\a\x9b31m", "\"},{\"type\":\"x", "\\u000a\\", "\u2028\u2029\u202e\ufeff\u200b",
	"\xff\xfe\xc0\xaf\xed\xa0\x80", "a\x00b", "${jndi:ldap://x}", "%0a%0d%00", "' OR '1'='1", strings.Repeat("A", 1<<20), strings.Repeat("\x1b", 1<<16),
}

// A buffer keeps what a sink writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// Whatever is in a request, what is recorded of it is one line for each event, of printable
// characters, whose type and outcome are none of the client's.
func FuzzHostileRequestsGiveWholeLines(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, text, text, text, text, text)
	}
	f.Add("GET", "example.com", "/open", "Mozilla/5.0", "https://evil.example", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Fuzz(func(t *testing.T, method, host, path, agent, origin, other string) {
		var out buffer
		p, err := audit.New(audit.Config{Sinks: []audit.Output{{Name: "buffer", Sink: audit.NewWriterSink(&out)}}})
		if err != nil {
			t.Fatal(err)
		}
		g, err := merlon.New(merlon.Config{
			Environment: merlon.Development, Recorder: p, Secret: make([]byte, 32), Hosts: []string{"example.com"}, ErrorLog: slog.New(slog.DiscardHandler),
			Origins: []string{"https://app.example.com"}, Routes: []merlon.Route{{Pattern: "POST /open", Public: true}},
			ClientIP: clientip.Config{TrustedProxies: []string{"127.0.0.1/32"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		h := g.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			merlon.Record(r.Context(), audit.LoginFailed(other, other))
			w.WriteHeader(204)
		}))
		// The request that is all the client's, and the ones that get further.
		for _, r := range []*http.Request{
			{Method: method, Host: host, URL: &url.URL{Path: path, RawQuery: other}},
			{Method: "POST", Host: "example.com", URL: &url.URL{Path: "/open"}},
		} {
			r.Proto, r.ProtoMajor, r.ProtoMinor, r.RemoteAddr, r.Body = "HTTP/1.1", 1, 1, "127.0.0.1:1", http.NoBody
			r.Header = http.Header{"User-Agent": {agent}, "Origin": {origin}, "Traceparent": {other}, "X-Forwarded-For": {other}, "X-Forwarded-Proto": {"https"},
				"X-Request-Id": {other}, "Referer": {other}, "Authorization": {"Bearer " + other}, "Cookie": {other}, "Content-Type": {other}, "X-Api-Key": {other}}
			h.ServeHTTP(httptest.NewRecorder(), r)
			r.Header = http.Header{"User-Agent": {agent}, "Traceparent": {other}, "X-Forwarded-Proto": {"https"}}
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		text := out.b.String()
		recorded := p.Stats().Recorded
		if n := uint64(strings.Count(text, "\n")); n != recorded || recorded == 0 || !strings.HasSuffix(text, "\n") {
			t.Errorf("%d lines of %d events", n, recorded)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			var e struct {
				ID, Type, Category, Severity, Outcome string
				Detail                                map[string]any
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v: %.300q", err, line)
			}
			if len(line) > 32<<10 || !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) {
				t.Errorf("not a line of printable characters: %.300q", line)
			}
			if !strings.HasPrefix(e.ID, "evt_") || e.ID == "evt_forged" || audit.Type(e.Type).Description() == "" || e.Type == "authn_login_success" || e.Severity == "" || e.Outcome == "" || e.Detail == nil {
				t.Errorf("not an event of ours: %.300q", line)
			}
		}
	})
}
