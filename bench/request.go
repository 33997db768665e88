package bench

import (
	"crypto/tls"
	"maps"
	"net/http"
	"net/url"
	"strconv"
)

// Facts of the one request that every chain gets.
const (
	apiHost    = "api.example.com"
	pageOrigin = "https://app.example.com"
	pattern    = "GET /api/v1/posts/{id}"
	scope      = "posts:read"
)

// newRequest returns a GET over TLS as net/http hands it to a handler. Each worker
// is another client. It has the fields that a program sends with an API key and
// the two that CORS and CSRF look at; or all that a browser's fetch sends.
func newRequest(worker int, key string, browser bool) *http.Request {
	h := http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"gzip"},
		"Origin":          {pageOrigin},
		"Sec-Fetch-Site":  {"same-site"},
		"User-Agent":      {"example-client/1.4 (+https://example.com/client)"},
	}
	if browser {
		maps.Copy(h, http.Header{
			"Accept-Encoding": {"gzip, deflate, br, zstd"},
			"Accept-Language": {"en-GB,en;q=0.9"},
			"Referer":         {pageOrigin + "/"},
			"Sec-Fetch-Dest":  {"empty"},
			"Sec-Fetch-Mode":  {"cors"},
			"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		})
	}
	if key != "" {
		h["X-Api-Key"] = []string{key}
	}
	const target = "/api/v1/posts/pst_0193a5b2?view=full"
	u, err := url.ParseRequestURI(target)
	if err != nil {
		panic(err) // a constant
	}
	return &http.Request{
		Method: "GET", URL: u, RequestURI: target,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: http.NoBody, Host: apiHost,
		RemoteAddr: "203.0.113." + strconv.Itoa(worker+1) + ":52000",
		TLS:        &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true},
	}
}

// body is what every handler answers.
var body = []byte(`{"id":"pst_0193a5b2"}`)

// bare is the handler behind every chain.
func bare(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }

// discard is a ResponseWriter that keeps the header and throws away the rest.
// Its header begins empty with each request, as a server's does, and emptying it
// is part of what is measured: who sets more headers pays for them. It grows to
// what its contestant needs and stays so, which a server's does not: that would
// cost all of them, and those with more headers more.
type discard struct {
	header http.Header
	status int
	bytes  int
}

func newDiscard() *discard { return &discard{header: http.Header{}} }

func (d *discard) begin() {
	clear(d.header)
	d.status = 0
}

// Header implements [http.ResponseWriter].
func (d *discard) Header() http.Header { return d.header }

// WriteHeader implements [http.ResponseWriter].
func (d *discard) WriteHeader(status int) {
	if d.status == 0 {
		d.status = status
	}
}

// Write implements [http.ResponseWriter].
func (d *discard) Write(p []byte) (int, error) {
	d.WriteHeader(http.StatusOK)
	d.bytes += len(p)
	return len(p), nil
}

// serve returns a loop that serves one request by h again and again. What is not
// accepted ends the program: a refusal is quick and would look like speed.
func serve(h http.Handler, r *http.Request) func(n int) {
	w := newDiscard()
	return func(n int) {
		for range n {
			w.begin()
			h.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				panic("bench: answered " + strconv.Itoa(w.status))
			}
		}
	}
}
