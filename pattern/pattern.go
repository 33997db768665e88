// Package pattern recognises attacks that no single request shows: many accounts tried
// from one network, one password tried on many accounts, one account tried from many
// networks, a search for unknown paths, and the touch of a canary.
//
// It recognises and acts on nothing: what it sees becomes one event of the category
// suspicious_activity, at a bounded rate and in bounded memory. It counts failures
// against successes, so that a network that thousands share is not named for the
// mistakes of its people.
package pattern

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/merlonhq/merlon/audit"
)

// What makes a pattern. The numbers are of different values within Window.
const (
	// Window is how long anything is remembered, the truncated hash of a password too.
	Window = time.Hour
	// StuffedAccounts is how many accounts one network must fail on, without a login
	// to any of them, and StuffedShare how many times the accounts that it logged in to.
	StuffedAccounts = 25
	StuffedShare    = 3
	// SprayedAccounts is how many accounts one password must fail on.
	SprayedAccounts = 20
	// Networks is how many networks one account must fail from, without a login.
	Networks = 15
	// ScannedPaths is how many unknown paths one network must ask for, within ScanWindow.
	ScannedPaths = 40
	ScanWindow   = 10 * time.Minute
	// Keys is how many networks, accounts or passwords are remembered for each pattern.
	// Beyond, the one that was quiet longest is forgotten.
	Keys = 8192
	// Events is how many events a pattern writes in one Window; more are counted, and
	// the next event tells how many. One key has one event in a Window.
	Events = 100

	triedPasswords = 16 // of one account that are remembered, for its owner to be forgiven
)

// Config says what a [Watch] needs.
type Config struct {
	// Recorder gets the events. Required.
	Recorder audit.Recorder
	// Canaries are account names and paths, which begin with "/", that nobody has a
	// reason to use. At most 1,000.
	Canaries []string
	// Now is the clock; default [time.Now].
	Now func() time.Time
}

// A Watch recognises patterns. Its methods may be called concurrently and do not block.
type Watch struct {
	recorder audit.Recorder
	now      func() time.Time
	canaries map[string]bool
	hash     hasher

	mu       sync.Mutex
	stuffing *table // network: accounts that failed
	loggedIn *table // network: accounts that logged in
	spraying *table // truncated hash of a password: accounts that failed
	tried    *table // account: truncated hashes of the passwords that failed
	accounts *table // account: networks that failed
	scanning *table // network: unknown paths
	touched  *table // network and canary
	rates    map[audit.Type]*rate
}

// New returns all that is wrong with cfg at once.
func New(cfg Config) (*Watch, error) {
	var errs []error
	if cfg.Recorder == nil {
		errs = append(errs, errors.New("pattern: Recorder is nil: say where the events go"))
	}
	if len(cfg.Canaries) > 1000 {
		errs = append(errs, fmt.Errorf("pattern: %d Canaries: at most 1000", len(cfg.Canaries)))
	}
	w := &Watch{recorder: cfg.Recorder, now: cfg.Now, canaries: map[string]bool{}, hash: newHasher(), rates: map[audit.Type]*rate{}}
	if w.now == nil {
		w.now = time.Now
	}
	for i, c := range cfg.Canaries {
		if c == "" {
			errs = append(errs, fmt.Errorf("pattern: Canaries[%d] is empty: everything would touch it", i))
		}
		w.canaries[c] = true
	}
	// Each remembers enough to tell, and no more.
	w.stuffing = newTable(Keys, 4*StuffedAccounts, Window)
	w.loggedIn = newTable(Keys, 4*StuffedAccounts, Window)
	w.spraying = newTable(Keys, SprayedAccounts, Window)
	w.tried = newTable(Keys, triedPasswords, Window)
	w.accounts = newTable(Keys, Networks, Window)
	w.scanning = newTable(Keys, ScannedPaths, ScanWindow)
	w.touched = newTable(Keys, 1, Window)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return w, nil
}

// A Failure is a login that failed.
type Failure struct {
	Client netip.Addr
	// Account is the name that was tried, in its canonical spelling, whether there is
	// such an account or not. It is not recorded.
	Account string
	// ID is the id of the account, where there is one.
	ID       string
	Password string
}

// LoginFailed takes a failed login. Of the password a hash of 24 bits is remembered,
// under a key that nobody keeps: enough to count by, and too little to find it again.
func (w *Watch) LoginFailed(f Failure) {
	now, network := w.now(), network(f.Client)
	account, net := w.hash.of(f.Account), w.hash.of(network.String())
	password := w.hash.truncated(f.Password)
	var found []audit.Event
	w.mu.Lock()
	n := w.stuffing.add(net, account, now)
	if n >= StuffedAccounts && n >= StuffedShare*w.loggedIn.count(net, now) && w.stuffing.tell(net, now) {
		found = w.found(found, audit.CredentialStuffing(now, f.Client, network, n))
	}
	w.tried.add(account, password, now)
	if n := w.spraying.add(password, account, now); n >= SprayedAccounts && w.spraying.tell(password, now) {
		found = w.found(found, audit.PasswordSpraying(now, f.Client, n))
	}
	if n := w.accounts.add(account, net, now); n >= Networks && w.accounts.tell(account, now) {
		found = w.found(found, audit.DistributedLogin(now, f.Client, f.ID, n))
	}
	if w.canaries[f.Account] && f.Account[0] != '/' {
		found = w.canary(found, f.Client, "account", f.Account, f.ID, now)
	}
	w.mu.Unlock()
	w.record(found)
}

// LoggedIn takes a login that succeeded: what failed on the account before was its owner,
// who mistyped, or took the password of another place.
func (w *Watch) LoggedIn(client netip.Addr, account string) {
	now := w.now()
	name, net := w.hash.of(account), w.hash.of(network(client).String())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stuffing.remove(net, name)
	w.loggedIn.add(net, name, now)
	w.accounts.forget(name)
	for _, password := range w.tried.forget(name) {
		w.spraying.remove(password.hash, name)
	}
}

// UnknownPath takes a request for a path that is not served.
func (w *Watch) UnknownPath(client netip.Addr, path string) {
	now, network := w.now(), network(client)
	net := w.hash.of(network.String())
	var found []audit.Event
	w.mu.Lock()
	if n := w.scanning.add(net, w.hash.of(path), now); n >= ScannedPaths && w.scanning.tell(net, now) {
		found = w.found(found, audit.PathScan(now, client, network, n))
	}
	if w.canaries[path] {
		found = w.canary(found, client, "path", path, "", now)
	}
	w.mu.Unlock()
	w.record(found)
}

// canary tells of the touch of a canary. Its name is the operator's, not the client's.
func (w *Watch) canary(found []audit.Event, client netip.Addr, kind, name, id string, now time.Time) []audit.Event {
	key := w.hash.of(network(client).String() + "\n" + name)
	w.touched.add(key, 1, now)
	if !w.touched.tell(key, now) {
		return found
	}
	return w.found(found, audit.CanaryTouched(now, client, network(client), id, kind, name))
}

// found adds an event to those that are to be recorded, within the rate of its type.
func (w *Watch) found(list []audit.Event, e audit.Event) []audit.Event {
	r := w.rates[e.Type]
	if r == nil {
		r = &rate{}
		w.rates[e.Type] = r
	}
	suppressed, ok := r.take(e.Time)
	if !ok {
		return list
	}
	if suppressed > 0 {
		e = e.With(slog.Uint64("suppressed", suppressed))
	}
	return append(list, e)
}

func (w *Watch) record(found []audit.Event) {
	for _, e := range found {
		w.recorder.Record(e)
	}
}

// network returns the /24 or /48 of an address: about what one customer has.
func network(a netip.Addr) netip.Prefix {
	bits := 48
	if a = a.Unmap().WithZone(""); a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // all that have no address are one
	}
	return p
}
