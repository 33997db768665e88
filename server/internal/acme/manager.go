package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says what to obtain from whom.
type Config struct {
	// Domains are the names, in lower case. One or more.
	Domains []string
	// Email is where the authority may write to, or "".
	Email string
	// DirectoryURL is the https URL of the authority's directory.
	DirectoryURL string
	// Storage is the directory of the files, which is made with mode 0700.
	Storage string
	// Roots verify the authority's own certificate; nil are those of the system.
	Roots *x509.CertPool
	// ClearText says that [Manager.Handler] is served where the authority asks about
	// HTTP-01. TLS-ALPN-01 is answered in any case.
	ClearText bool
	// Log is the operator's. Required.
	Log *slog.Logger
	// Obtained is told of each new certificate, and Failed of the first failure since
	// there was one; then Recovered comes before Obtained. None may block.
	Obtained  func(name string, leaf *x509.Certificate)
	Failed    func(name string, r Reason)
	Recovered func(name string)
}

// Orders of several names at a time are few: each has connections and deadlines.
const (
	maxOrders    = 4
	orderTimeout = 4 * time.Minute
	// longestSleep bounds how late a clock that was set is noticed.
	longestSleep = time.Hour
	// shortestLife is how long a new certificate is kept at least, whatever the clock
	// says of its end: an authority limits orders that go well, too.
	shortestLife = time.Hour
	firstBackoff = time.Minute
	lastBackoff  = 6 * time.Hour
)

// A Manager keeps the certificates.
type Manager struct {
	cfg        Config
	challenges *challenges
	obtain     func(ctx context.Context, name string) (text []byte, later time.Duration, err error)
	orders     chan struct{} // holds one for each order that is under way

	names       map[string]*held // does not change after New
	placeholder *tls.Certificate // set by Open where it is needed

	obtained, failed atomic.Uint64
}

// held is the certificate of one name.
type held struct {
	mu    sync.RWMutex
	pair  *tls.Certificate // nil for none
	renew time.Time

	failing atomic.Bool
}

// New returns a manager of cfg. It touches no file and calls nobody.
func New(cfg Config) (*Manager, error) {
	var errs []error
	if len(cfg.Domains) == 0 {
		errs = append(errs, errors.New("acme: Domains is empty: name what certificates are for"))
	}
	if !strings.HasPrefix(cfg.DirectoryURL, "https://") {
		errs = append(errs, errors.New("acme: DirectoryURL is not an https URL"))
	}
	if cfg.Storage == "" {
		errs = append(errs, errors.New("acme: Storage is empty: name a directory"))
	}
	if cfg.Log == nil {
		errs = append(errs, errors.New("acme: Log is nil"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m := &Manager{cfg: cfg, challenges: newChallenges(), names: map[string]*held{}, orders: make(chan struct{}, maxOrders)}
	for _, name := range cfg.Domains {
		m.names[name] = &held{}
	}
	m.obtain = newAuthority(cfg, m.challenges).obtain
	return m, nil
}

// Open makes the directory and reads what is in it. A certificate that cannot be used
// counts as none, and is told of.
func (m *Manager) Open() error {
	dir := directory(m.cfg.Storage, m.cfg.DirectoryURL)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("acme.storage: %w: make it a directory that this user may write", err)
	}
	missing := false
	for _, name := range m.cfg.Domains {
		pair, err := read(m.file(name))
		if err == nil {
			err = pair.Leaf.VerifyHostname(name)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = true
		case err != nil:
			missing = true
			m.cfg.Log.Warn("acme: a certificate that is kept cannot be used: another is obtained", "host", name, "error", err)
		default:
			m.hold(name, pair)
		}
	}
	if !missing {
		return nil
	}
	text, err := placeholder(time.Now())
	if err == nil {
		err = write(PlaceholderFile(m.cfg.Storage, m.cfg.DirectoryURL), text)
	}
	if err != nil {
		return fmt.Errorf("acme.storage: %w: make it a directory that this user may write", err)
	}
	m.placeholder, err = parse(text)
	return err
}

func (m *Manager) file(name string) string {
	return File(m.cfg.Storage, m.cfg.DirectoryURL, filepath.Base(name))
}

// hold serves with pair from now on. It is renewed when a third of its life is left, or
// a little before: a tenth of that at random keeps many services from asking at once.
func (m *Manager) hold(name string, pair *tls.Certificate) {
	third := max(0, pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore)/3)
	early := time.Duration(rand.Int64N(int64(third/10) + 1))
	h := m.names[name]
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pair, h.renew = pair, pair.Leaf.NotAfter.Add(-third-early)
}

func (h *held) get() (*tls.Certificate, time.Time) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.pair, h.renew
}

// certificate returns what is served for a name. Who asks for none, or for one that is
// not ours, gets the first that there is: a probe by address is served, and what is
// obtained does not depend on what clients ask for. A probe that has the placeholder's
// file gets the placeholder, though another name has a certificate.
func (m *Manager) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == placeholderName && m.placeholder != nil {
		return m.placeholder, nil
	}
	if h := m.names[strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))]; h != nil {
		if pair, _ := h.get(); pair != nil {
			return pair, nil
		}
	} else {
		for _, name := range m.cfg.Domains {
			if pair, _ := m.names[name].get(); pair != nil {
				return pair, nil
			}
		}
	}
	return m.placeholder, nil
}

// A Certificate is one that is served.
type Certificate struct {
	Name     string
	NotAfter time.Time
}

// Certificates returns those that have been obtained.
func (m *Manager) Certificates() []Certificate {
	var out []Certificate
	for _, name := range m.cfg.Domains {
		if pair, _ := m.names[name].get(); pair != nil {
			out = append(out, Certificate{name, pair.Leaf.NotAfter})
		}
	}
	return out
}

// Counts returns how many orders ended well and how many did not.
func (m *Manager) Counts() (obtained, failed uint64) { return m.obtained.Load(), m.failed.Load() }

// Run obtains and renews until ctx ends. It is called once, when the listeners are
// served: the authority asks there.
func (m *Manager) Run(ctx context.Context) error {
	var names errgroup.Group
	for _, name := range m.cfg.Domains {
		if pair, _ := m.names[name].get(); pair == nil {
			m.cfg.Log.Warn("acme: there is no certificate yet: clients are refused by a placeholder until there is", "host", name, "authority", m.cfg.DirectoryURL)
		}
		names.Go(func() error { m.keep(ctx, name); return nil })
	}
	return names.Wait()
}

// keep keeps the certificate of one name.
func (m *Manager) keep(ctx context.Context, name string) {
	failures, next, soonest := 0, time.Time{}, time.Time{}
	for {
		if pair, renew := m.names[name].get(); failures == 0 && pair != nil {
			next = renew
			if next.Before(soonest) {
				next = soonest
			}
		}
		for wait := time.Until(next); wait > 0; wait = time.Until(next) {
			if !sleep(ctx, min(wait, longestSleep)) {
				return
			}
		}
		later, err := m.order(ctx, name)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			failures, soonest = 0, time.Now().Add(m.shortest(name))
			continue
		}
		failures++
		wait := max(backoff(failures), later, patience(ReasonOf(err)))
		next = time.Now().Add(wait)
		m.tellFailure(name, err, failures, wait)
	}
}

// shortest returns how long the certificate that was just obtained is kept at least. Where
// the clock of this machine is ahead, it seems to end soon, as each one after it would.
func (m *Manager) shortest(name string) time.Duration {
	pair, _ := m.names[name].get()
	if half := pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore) / 2; half > 0 {
		return min(half, shortestLife)
	}
	return shortestLife
}

// order obtains a certificate and serves with it.
func (m *Manager) order(ctx context.Context, name string) (later time.Duration, err error) {
	select {
	case m.orders <- struct{}{}:
		defer func() { <-m.orders }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	text, later, err := m.obtain(ctx, name)
	if err != nil {
		return later, err
	}
	pair, err := parse(text)
	if err != nil {
		return 0, err
	}
	// What cannot be kept is served all the same; the next start orders again.
	kept := write(m.file(name), text)
	if kept != nil {
		m.cfg.Log.Error("acme: the certificate could not be kept: a restart will order another", "host", name, "fix", ReasonOf(kept).Fix, "error", kept)
	}
	m.hold(name, pair)
	m.obtained.Add(1)
	if h := m.names[name]; h.failing.Swap(false) && m.cfg.Recovered != nil {
		m.cfg.Recovered(name)
	}
	m.cfg.Log.Info("acme: a new certificate is served", "host", name, "not_after", pair.Leaf.NotAfter.UTC())
	if m.cfg.Obtained != nil {
		m.cfg.Obtained(name, pair.Leaf)
	}
	return 0, nil
}

// tellFailure tells the operator. It is an error when clients are refused, or will be
// soon: less than a sixth of the life of the certificate is left.
func (m *Manager) tellFailure(name string, err error, failures int, wait time.Duration) {
	m.failed.Add(1)
	r := ReasonOf(err)
	level, says := slog.LevelError, "acme: no certificate was obtained, and there is none"
	pair, _ := m.names[name].get()
	if pair != nil {
		says = "acme: the certificate was not renewed: the one before is served"
		left := time.Until(pair.Leaf.NotAfter)
		switch {
		case left <= 0:
			says = "acme: the certificate was not renewed, and has ended"
		case left > pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore)/6:
			level = slog.LevelWarn
		}
	}
	attrs := []any{"host", name, "reason", r.Code, "fix", r.Fix, "error", shortened(err), "failures", failures, "next_try_in", wait.Round(time.Second)}
	if pair != nil {
		attrs = append(attrs, "not_after", pair.Leaf.NotAfter.UTC())
	}
	m.cfg.Log.Log(context.Background(), level, says, attrs...)
	if h := m.names[name]; !h.failing.Swap(true) && m.cfg.Failed != nil {
		m.cfg.Failed(name, r)
	}
}

// shortened is what an authority may write into our log.
func shortened(err error) string {
	const most = 600
	text := err.Error()
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// backoff returns how long to wait after so many failures in a row: twice as long each
// time, with a tenth at random.
func backoff(failures int) time.Duration {
	d := lastBackoff
	if failures < 10 {
		d = min(firstBackoff<<(failures-1), lastBackoff)
	}
	return d + time.Duration(rand.Int64N(int64(d/10)))
}

// patience is how long to wait at least. What an authority checked and did not find is
// not there a minute later either, and each check counts against its limits.
func patience(r Reason) time.Duration {
	switch r.Code {
	case "validation", "caa", "rejected_name", "account":
		return 15 * time.Minute
	case "rate_limited":
		return time.Hour
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
