package ratelimit

import (
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/merlonhq/merlon/exchange"
)

// A Misuse is a use of a limiter that works and that probably is a mistake. docs/limits.md explains each. A Limiter
// tells of each once in its life.
type Misuse struct {
	// ID is stable, such as "merlon.N002".
	ID string
	// Message says what is wrong and what to do.
	Message string
	// Rule is the name of the rule that it is about, or "".
	Rule string
}

// The misuses. Their ids are never renumbered.
var (
	countedTwice = Misuse{ID: "merlon.N002", Message: "a request passed the same limiter twice, and was counted once: " +
		"wrap the handler once, outside"}
	storeShared = Misuse{ID: "merlon.N003", Message: "two limiters have the same store and namespace, so that their rules of the same name share counts: " +
		"give each limiter a Namespace or a store of its own"}
	madeInRequest = Misuse{ID: "merlon.N004", Message: "a limiter was made while a request is served: one for each request counts nothing; " +
		"make it once, at start"}
	countsNowhere = Misuse{ID: "merlon.N005", Message: "the limiter has rules for routes and knows no route, so that they count nothing: " +
		"set Routes"}
	accountNotTaken = Misuse{ID: "merlon.N006", Message: "a rule counts by account and the handler answered without calling TakeAccount, so that it counted nothing: " +
		"call it before the password or code is tested, or NoAccount where there is none"}
	looserThanDefault = Misuse{ID: "merlon.N007", Message: "a rule that counts failures admits more than the default rule does for every other route: " +
		"lower it, since what fails is mostly guessing"}
	headerAlone = Misuse{ID: "merlon.N008", Message: "a rule counts by a header alone, which the client chooses anew for each request: " +
		"add address or principal to it"}
	longIPv6 = Misuse{ID: "merlon.N009", Message: "IPv6 addresses are counted by more than 64 bits, and every customer of a network has 64 bits of them to change: " +
		"set IPv6Bits to 64 or less"}
)

// misuses tells of each misuse once.
type misuses struct {
	tell func(*exchange.Exchange, Misuse)
	told [4]atomic.Bool // of those that are found while requests are served
}

// Those of misuses.told.
const (
	toldTwice = iota
	toldNowhere
	toldAccount
)

// once tells of a misuse, unless that has been done.
func (m *misuses) once(which int, x *exchange.Exchange, u Misuse) {
	if !m.told[which].Load() && m.told[which].CompareAndSwap(false, true) {
		m.tell(x, u)
	}
}

// toLog is how misuses are told if the configuration does not say.
func toLog(_ *exchange.Exchange, u Misuse) {
	attrs := []any{slog.String("id", u.ID)}
	if u.Rule != "" {
		attrs = append(attrs, slog.String("rule", u.Rule))
	}
	slog.Default().Warn(u.Message, attrs...)
}

// atStart tells of what shows when a limiter is made.
func (l *Limiter) atStart(rules []*rule, former *Limiter) {
	about := func(u Misuse, r *rule) {
		u.Rule = r.name
		l.misuses.tell(nil, u)
	}
	inItsPlace := former != nil && former.store == l.store && former.namespace == l.namespace
	if c, ok := l.store.(Claimer); ok && !c.Claim(l.namespace) && !inItsPlace {
		l.misuses.tell(nil, storeShared)
	}
	if servesRequest() {
		l.misuses.tell(nil, madeInRequest)
	}
	if l.bits6 > 64 {
		l.misuses.tell(nil, longIPv6)
	}
	standard := l.standard.all()[0]
	for _, r := range rules {
		if r.quotas[0].failures && r.looser(standard) {
			about(looserThanDefault, r)
		}
		if r.byHeaderAlone() {
			about(headerAlone, r)
		}
	}
	if standard.byHeaderAlone() {
		about(headerAlone, standard)
	}
}

// looser reports whether every limit of r admits more in time than each of the other rule's.
func (r *rule) looser(than *rule) bool {
	for i := range r.quotas {
		for j := range than.quotas {
			a, b := &r.quotas[i].limit, &than.quotas[j].limit
			if float64(a.Max)*float64(b.Window) <= float64(b.Max)*float64(a.Window) {
				return false
			}
		}
	}
	return true
}

// byHeaderAlone reports whether the client chooses all that r counts by.
func (r *rule) byHeaderAlone() bool {
	header := false
	for _, p := range r.by {
		if p.kind != KindHeader && p.kind != KindRoute {
			return false
		}
		header = header || p.kind == KindHeader
	}
	return header
}

// servesRequest reports whether the caller was called by a server's connection.
func servesRequest() bool {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, ".ServeHTTP") {
			return true
		}
		if !more {
			return false
		}
	}
}
