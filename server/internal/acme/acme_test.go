package acme_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	protocol "github.com/mholt/acmez/v3/acme"

	"github.com/merlonhq/merlon/server/internal/acme"
)

const (
	name = "api.example.com"
	dir  = "https://ca.example/directory"
)

var quiet = slog.New(slog.DiscardHandler)

// issue makes a certificate and its key in PEM.
func issue(t *testing.T, name string, serial int64, from, to time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), DNSNames: []string{name}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
}

func open(t *testing.T, cfg acme.Config) *acme.Manager {
	t.Helper()
	if cfg.Domains == nil {
		cfg.Domains = []string{name}
	}
	if cfg.Log == nil {
		cfg.Log = quiet
	}
	cfg.DirectoryURL = dir
	m, err := acme.New(cfg)
	if err == nil {
		err = m.Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// shown returns the serial number of the certificate for a name, 0 for the placeholder.
func shown(t *testing.T, m *acme.Manager, name string) int64 {
	t.Helper()
	cfg := &tls.Config{}
	m.Serve(cfg)
	pair, err := cfg.GetCertificate(&tls.ClientHelloInfo{ServerName: name})
	if err != nil {
		t.Fatal(err)
	}
	if pair.Leaf.Subject.CommonName == "placeholder.invalid" {
		return 0
	}
	return pair.Leaf.SerialNumber.Int64()
}

func TestACertificateIsRenewedAtTwoThirdsOfItsLifeOrALittleBefore(t *testing.T) {
	storage := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const life = 90 * 24 * time.Hour
		var asked []time.Duration
		start, last := time.Now(), time.Now()
		m := open(t, acme.Config{Storage: storage})
		m.ObtainBy(func(context.Context, string) ([]byte, time.Duration, error) {
			asked = append(asked, time.Since(last))
			last = time.Now()
			return issue(t, name, int64(len(asked)), last, last.Add(life)), 0, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		time.Sleep(200 * 24 * time.Hour)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(asked) != 4 || asked[0] != 0 {
			t.Fatalf("asked after %v, in %v", asked, time.Since(start))
		}
		for _, after := range asked[1:] {
			if after > life-life/3 || after < life-life/3-life/30 {
				t.Errorf("renewed after %v", after)
			}
		}
		if shown(t, m, name) != 4 {
			t.Error("the last one is not served")
		}
	})
}

// A clock that is ahead makes each certificate look as if it was about to end.
func TestOrdersThatGoWellAreFewThoughTheClockIsAhead(t *testing.T) {
	for what, tt := range map[string]struct{ from, to time.Duration }{
		"in its last third":         {-80 * 24 * time.Hour, 10 * 24 * time.Hour},
		"one that ends as it began": {time.Hour, time.Hour},
		"one that ends before it":   {2 * time.Hour, time.Hour},
	} {
		t.Run(what, func(t *testing.T) {
			storage := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				m := open(t, acme.Config{Storage: storage})
				m.ObtainBy(func(context.Context, string) ([]byte, time.Duration, error) {
					if asked++; asked > 100 {
						return nil, 0, errors.New("enough")
					}
					return issue(t, name, int64(asked), time.Now().Add(tt.from), time.Now().Add(tt.to)), 0, nil
				})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- m.Run(ctx) }()
				time.Sleep(5*time.Hour + time.Minute)
				synctest.Wait()
				cancel()
				<-ended
				if asked < 1 || asked > 6 {
					t.Errorf("asked %d times in five hours, want once an hour at most", asked)
				}
			})
		})
	}
}

// A probe that trusts nothing but the placeholder finds the service while one of several
// names has a certificate and the first has none.
func TestThePlaceholderIsServedForItsOwnName(t *testing.T) {
	storage := t.TempDir()
	const second = "www.example.com"
	open(t, acme.Config{Storage: storage})
	now := time.Now()
	if err := os.WriteFile(acme.File(storage, dir, second), issue(t, second, 7, now, now.Add(time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	m := open(t, acme.Config{Storage: storage, Domains: []string{name, second}})
	for asked, want := range map[string]int64{"placeholder.invalid": 0, name: 0, second: 7, "else.example.com": 7, "": 7} {
		if got := shown(t, m, asked); got != want {
			t.Errorf("for %q: %d is served, want %d", asked, got, want)
		}
	}
}

func TestFailuresBackOffAreToldAndLeaveTheOldCertificate(t *testing.T) {
	storage := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var says strings.Builder
		var told []string
		m := open(t, acme.Config{Storage: storage, Log: slog.New(slog.NewTextHandler(&says, nil)),
			Failed:    func(name string, r acme.Reason) { told = append(told, "failed "+name+" "+r.Code) },
			Recovered: func(name string) { told = append(told, "recovered "+name) },
			Obtained:  func(name string, leaf *x509.Certificate) { told = append(told, "obtained "+leaf.SerialNumber.String()) },
		})
		var mu sync.Mutex // guards at
		var at []time.Time
		var fail atomic.Bool
		fail.Store(true)
		m.ObtainBy(func(context.Context, string) ([]byte, time.Duration, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			if fail.Load() {
				return nil, 0, &url.Error{Op: "Get", URL: dir, Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}
			}
			return issue(t, name, int64(len(at)), time.Now(), time.Now().Add(90*24*time.Hour)), 0, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		if shown(t, m, name) != 0 {
			t.Error("the placeholder is not served")
		}
		mu.Lock()
		for i := 2; i < len(at); i++ {
			before, this := at[i-1].Sub(at[i-2]), at[i].Sub(at[i-1])
			if this < before && this < 6*time.Hour || this > 6*time.Hour*11/10 {
				t.Errorf("waited %v after %v", this, before)
			}
		}
		if n := len(at); n < 9 || n > 14 {
			t.Errorf("%d tries in a day", n)
		}
		mu.Unlock()
		fail.Store(false)
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		serial := shown(t, m, name)
		fail.Store(true)
		time.Sleep(70 * 24 * time.Hour)
		synctest.Wait()
		if got := shown(t, m, name); got != serial || got == 0 {
			t.Errorf("certificate %d is served, want %d", got, serial)
		}
		cancel()
		<-ended
		want := []string{"failed " + name + " unreachable", "recovered " + name, fmt.Sprint("obtained ", serial), "failed " + name + " unreachable"}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		for _, line := range []string{`level=ERROR msg="acme: no certificate was obtained, and there is none" host=api.example.com reason=unreachable fix="`,
			`level=WARN msg="acme: the certificate was not renewed: the one before is served"`} {
			if !strings.Contains(says.String(), line) {
				t.Errorf("no line %s", line)
			}
		}
		obtained, failed := m.Counts()
		if obtained != 1 || failed != uint64(len(at)-1) {
			t.Errorf("%d obtained, %d failed of %d", obtained, failed, len(at))
		}
	})
}

func TestAnAuthorityThatAsksForPatienceGetsIt(t *testing.T) {
	storage := t.TempDir()
	for what, tt := range map[string]struct {
		err   error
		later time.Duration
		least time.Duration
	}{
		"a Retry-After":         {protocol.Problem{Type: protocol.ProblemTypeRateLimited, Status: 429}, 5 * time.Hour, 5 * time.Hour},
		"a limit without one":   {protocol.Problem{Type: protocol.ProblemTypeRateLimited, Status: 429}, 0, time.Hour},
		"what was not found":    {protocol.Problem{Type: protocol.ProblemTypeConnection, Status: 400}, 0, 15 * time.Minute},
		"a failure of its own":  {protocol.Problem{Type: protocol.ProblemTypeServerInternal, Status: 500}, 0, time.Minute},
		"a name it rejects":     {protocol.Problem{Type: protocol.ProblemTypeRejectedIdentifier, Status: 400}, 0, 15 * time.Minute},
		"what cannot be parsed": {errors.New("nonsense"), 0, time.Minute},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := open(t, acme.Config{Storage: storage})
				var at []time.Time
				m.ObtainBy(func(context.Context, string) ([]byte, time.Duration, error) {
					at = append(at, time.Now())
					return nil, tt.later, tt.err
				})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- m.Run(ctx) }()
				time.Sleep(2 * tt.least)
				synctest.Wait()
				cancel()
				<-ended
				if len(at) < 2 || at[1].Sub(at[0]) < tt.least {
					t.Errorf("asked at %v", at)
				}
			})
		})
	}
}

func TestWhatIsKeptIsReadAgain(t *testing.T) {
	storage := t.TempDir()
	m := open(t, acme.Config{Storage: storage, Domains: []string{name, "www.example.com"}})
	now := time.Now()
	kept := acme.File(storage, dir, name)
	for what, tt := range map[string]struct {
		text string
		want int64
	}{
		"a certificate and its key":       {string(issue(t, name, 7, now, now.Add(time.Hour))), 7},
		"one that has ended":              {string(issue(t, name, 8, now.Add(-2*time.Hour), now.Add(-time.Hour))), 8},
		"one for another name":            {string(issue(t, "www.example.com", 9, now, now.Add(time.Hour))), 0},
		"no PEM":                          {"nothing", 0},
		"the certificate without its key": {string(issue(t, name, 7, now, now.Add(time.Hour))[len(issue(t, name, 7, now, now.Add(time.Hour)))/2:]), 0},
	} {
		if err := os.WriteFile(kept, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		again := open(t, acme.Config{Storage: storage, Domains: []string{name, "www.example.com"}})
		if got := shown(t, again, name); got != tt.want {
			t.Errorf("%s: %d is served, want %d", what, got, tt.want)
		}
		if got := shown(t, again, "www.example.com"); got != 0 {
			t.Errorf("%s: %d is served for a name that has none", what, got)
		}
		if got := shown(t, again, "unknown.example.com"); got != tt.want {
			t.Errorf("%s: %d is served for a name that is not ours, want %d", what, got, tt.want)
		}
	}
	err := filepath.WalkDir(storage, func(path string, d fs.DirEntry, err error) error {
		info, _ := d.Info()
		if path != storage && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Certificates() != nil {
		t.Error("certificates that were not there")
	}
}

func TestChallengesAreAnsweredWhileTheyAreOpen(t *testing.T) {
	m := open(t, acme.Config{Storage: t.TempDir(), ClearText: true})
	h := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }))
	ask := func(method, host, path string) (int, string) {
		r, w := httptest.NewRequest(method, "http://"+host+"/", nil), httptest.NewRecorder()
		r.URL.Path = path
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	c := protocol.Challenge{Token: "tok-en_1", KeyAuthorization: "tok-en_1.thumb", Identifier: protocol.Identifier{Type: "dns", Value: name}}
	const path = "/.well-known/acme-challenge/tok-en_1"
	if code, _ := ask("GET", name, path); code != 403 {
		t.Errorf("before: %d", code)
	}
	if err := m.OpenHTTP(c); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		method, host, path string
		want               int
	}{
		{"GET", name, path, 200}, {"GET", "API.example.com:80", path, 200}, {"HEAD", name, path, 200},
		{"POST", name, path, 403}, {"GET", "other.example.com", path, 403}, {"GET", name, path + "x", 403}, {"GET", name, path + "/", 403},
		{"GET", name, "/.well-known/acme-challenge/", 403}, {"GET", name, "/x" + path, 403}, {"GET", name, "/.well-known/acme-challenge/../acme-challenge/tok-en_1", 403},
	} {
		code, body := ask(tt.method, tt.host, tt.path)
		if code != tt.want || (code == 200) != (body == "tok-en_1.thumb") {
			t.Errorf("%s %s%s: %d %q, want %d", tt.method, tt.host, tt.path, code, body, tt.want)
		}
	}

	cfg := &tls.Config{}
	m.Serve(cfg)
	hello := func(name string, protocols ...string) (*tls.Config, error) {
		return cfg.GetConfigForClient(&tls.ClientHelloInfo{ServerName: name, SupportedProtos: protocols})
	}
	if err := m.OpenTLS(c); err != nil {
		t.Fatal(err)
	}
	for _, protocols := range [][]string{nil, {"h2"}, {"h2", "http/1.1"}, {"acme-tls/1", "h2"}, {"h2", "acme-tls/1"}} {
		if got, err := hello(name, protocols...); got != nil || err != nil {
			t.Errorf("%v is taken for a challenge", protocols)
		}
	}
	got, err := hello(name, "acme-tls/1")
	if err != nil || got == nil || !slices.Equal(got.NextProtos, []string{"acme-tls/1"}) {
		t.Fatalf("%v, %v", got, err)
	}
	pair, err := got.GetCertificate(&tls.ClientHelloInfo{ServerName: "API.example.com"})
	if err != nil || pair.Leaf.VerifyHostname(name) != nil {
		t.Errorf("%v, %v", pair, err)
	}
	if _, err := got.GetCertificate(&tls.ClientHelloInfo{ServerName: "other.example.com"}); err == nil {
		t.Error("a name without a challenge is answered")
	}
	if err := m.Close(c); err != nil {
		t.Fatal(err)
	}
	if code, _ := ask("GET", name, path); code != 403 {
		t.Errorf("afterwards: %d", code)
	}
	if _, err := got.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); err == nil {
		t.Error("afterwards the challenge is answered")
	}
}

func TestReasonsOfFailures(t *testing.T) {
	validated := protocol.Authorization{}
	problem := func(kind string, of any) error {
		return fmt.Errorf("order: %w", protocol.Problem{Type: "urn:ietf:params:acme:error:" + kind, Resource: of})
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{problem("rateLimited", nil), "rate_limited"}, {problem("connection", validated), "validation"}, {problem("dns", nil), "validation"}, {problem("caa", validated), "caa"},
		{problem("unauthorized", validated), "validation"}, {problem("unauthorized", nil), "account"}, {problem("rejectedIdentifier", nil), "rejected_name"},
		{problem("externalAccountRequired", nil), "account"}, {problem("serverInternal", nil), "authority"}, {problem("badCSR", nil), "refused"},
		{&url.Error{Err: x509.UnknownAuthorityError{}}, "certificate"}, {&url.Error{Err: context.DeadlineExceeded}, "timeout"}, {context.DeadlineExceeded, "timeout"},
		{&url.Error{Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, "unreachable"}, {&fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, "storage"},
		{errors.New("else"), "failure"},
	} {
		if r := acme.ReasonOf(tt.err); r.Code != tt.want || r.Fix == "" {
			t.Errorf("%v: %+v, want %s", tt.err, r, tt.want)
		}
	}
}

func TestRetryAfterIsBoundedAndForgiving(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "60": time.Minute, "-1": 0, "x": 0, "99999999999": 0, "Fri, 02 Jan 2026 04:04:05 GMT": time.Hour, "Fri, 02 Jan 2026 02:04:05 GMT": 0,
	} {
		if got := acme.RetryAfter(v, now); got != want {
			t.Errorf("%q: %v, want %v", v, got, want)
		}
	}
}

// An authority that sends for ever, or leads in circles or into clear text, is cut off.
func TestTheAuthorityIsHeldToLimits(t *testing.T) {
	for what, answer := range map[string]http.HandlerFunc{
		"an answer without an end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 200 {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
		"a redirect in a circle": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/directory", http.StatusFound) },
		"a redirect to clear text": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://"+r.Host+"/directory", http.StatusFound)
		},
		"no directory": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("{}"))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := httptest.NewTLSServer(answer)
			defer s.Close()
			roots := x509.NewCertPool()
			roots.AddCert(s.Certificate())
			failed := make(chan acme.Reason, 1)
			m, err := acme.New(acme.Config{Domains: []string{name}, DirectoryURL: s.URL + "/directory", Storage: t.TempDir(), Roots: roots, Log: quiet,
				Failed: func(_ string, r acme.Reason) { failed <- r }})
			if err == nil {
				err = m.Open()
			}
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- m.Run(ctx) }()
			<-failed
			cancel()
			<-ended
		})
	}
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	_, err := acme.New(acme.Config{DirectoryURL: "http://ca.example"})
	for _, want := range []string{"Domains", "DirectoryURL", "Storage", "Log"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want a word about %s", err, want)
		}
	}
}
