package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// Limits of what the authority may take and send.
const (
	callTimeout  = 20 * time.Second
	maxBody      = 1 << 20
	maxPatience  = 24 * time.Hour // that a Retry-After may ask for
	pollPatience = 2 * time.Minute
)

// authority is the other side: one account at one directory.
type authority struct {
	client  *acmez.Client
	contact []string
	keyFile string

	mu      sync.Mutex
	account *acme.Account // nil until it is known
}

func newAuthority(cfg Config, open *challenges) *authority {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12}
	transport.TLSHandshakeTimeout = callTimeout
	transport.ResponseHeaderTimeout = callTimeout
	transport.MaxResponseHeaderBytes = 64 << 10
	solvers := map[string]acmez.Solver{acme.ChallengeTypeTLSALPN01: tlsSolver{open}}
	if cfg.ClearText {
		solvers[acme.ChallengeTypeHTTP01] = httpSolver{open}
	}
	a := &authority{
		client: &acmez.Client{
			Client: &acme.Client{
				Directory: cfg.DirectoryURL, UserAgent: "merlon", PollTimeout: pollPatience,
				HTTPClient: &http.Client{Transport: bounded{transport}, Timeout: callTimeout, CheckRedirect: httpsOnly},
			},
			ChallengeSolvers: solvers,
		},
		keyFile: AccountFile(cfg.Storage, cfg.DirectoryURL),
	}
	if cfg.Email != "" {
		a.contact = []string{"mailto:" + cfg.Email}
	}
	return a
}

// httpsOnly keeps a redirect from leading into clear text, or around for ever.
func httpsOnly(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme != "https" || len(via) > 3 {
		return http.ErrUseLastResponse
	}
	return nil
}

// bounded keeps answers within maxBody, and notes when the authority asks to come
// back later.
type bounded struct{ http.RoundTripper }

type retryKey struct{}

// RoundTrip is that of [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxBody), resp.Body}
	if later, ok := r.Context().Value(retryKey{}).(*time.Duration); ok && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		*later = min(retryAfter(resp.Header.Get("Retry-After"), time.Now()), maxPatience)
	}
	return resp, nil
}

// retryAfter reads a Retry-After (RFC 9110 section 10.2.3); what is none is 0.
func retryAfter(v string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// obtain orders a certificate for a name, and returns it in PEM with its new key. After
// an error, later is how long the authority asks to wait, if it does.
func (a *authority) obtain(ctx context.Context, name string) (text []byte, later time.Duration, err error) {
	ctx = context.WithValue(ctx, retryKey{}, &later)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, 0, err
	}
	account, err := a.register(ctx)
	if err != nil {
		return nil, later, err
	}
	chains, err := a.client.ObtainCertificateForSANs(ctx, account, key, []string{name})
	var p acme.Problem
	if errors.As(err, &p) && p.Type == acme.ProblemTypeAccountDoesNotExist {
		a.forget() // the next try makes another
	}
	if err != nil {
		return nil, later, err
	}
	if len(chains) == 0 {
		return nil, 0, errors.New("the authority sent no certificate")
	}
	text, err = keyPEM(key)
	if err != nil {
		return nil, 0, err
	}
	text = append(text, chains[0].ChainPEM...)
	pair, err := parse(text)
	if err != nil {
		return nil, 0, fmt.Errorf("the certificate of the authority cannot be used: %w", err)
	}
	return text, 0, usable(pair.Leaf, name, time.Now())
}

// usable reports what would keep clients from accepting a certificate that was just
// issued.
func usable(leaf *x509.Certificate, name string, now time.Time) error {
	if err := leaf.VerifyHostname(name); err != nil {
		return fmt.Errorf("the certificate of the authority is for another name: %w", err)
	}
	if now.After(leaf.NotAfter) {
		return fmt.Errorf("the certificate of the authority ended at %s: see the clock of this machine", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// register returns the account: with a key that the authority knows it is the one that
// there is (RFC 8555 section 7.3.1).
func (a *authority) register(ctx context.Context) (acme.Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.account != nil {
		return *a.account, nil
	}
	key, err := accountKey(a.keyFile)
	if err != nil {
		return acme.Account{}, err
	}
	account, err := a.client.NewAccount(ctx, acme.Account{Contact: a.contact, TermsOfServiceAgreed: true, PrivateKey: key})
	if err != nil {
		return acme.Account{}, err
	}
	if len(account.Contact) > 0 && !slices.Equal(account.Contact, a.contact) {
		account.Contact = a.contact
		if account, err = a.client.UpdateAccount(ctx, account); err != nil {
			return acme.Account{}, err
		}
	}
	a.account = &account
	return account, nil
}

func (a *authority) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account = nil
}
