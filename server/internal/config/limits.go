package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

// String returns q as it is written.
func (q Quota) String() string { return strconv.Itoa(q.Limit) + "/" + formatDuration(q.Window) }

// quotas reads a list such as [100/1m, 20/1s].
func (d *decoder) quotas(name string, n node) ([]Quota, bool) {
	items, ok := d.list(name, n, false)
	before := len(d.problems)
	out := make([]Quota, 0, len(items))
	for _, item := range items {
		v, good := d.text(name, spec{required: true}, item, false)
		if !good {
			continue
		}
		q, f := parseQuota(v)
		if f == nil && slices.ContainsFunc(out, func(o Quota) bool { return o.Window == q.Window }) {
			f = &fault{idLimitsEntry, show(v) + " has the window of another entry", "keep the stricter one"}
		}
		if f != nil {
			d.report(item.where, fault{f.id, name + ": " + f.message, f.fix})
			continue
		}
		out = append(out, q)
	}
	return out, ok && len(d.problems) == before
}

func parseQuota(v string) (Quota, *fault) {
	number, window, ok := strings.Cut(v, "/")
	limit, err := strconv.Atoi(number)
	length, isDuration := parseDuration(window)
	if !ok || err != nil || !isDecimal(number) || !isDuration {
		return Quota{}, &fault{idLimitsEntry, show(v) + " is not a limit", "write a number, a slash and a window, such as 100/1m"}
	}
	if limit < 1 || limit > maxLimit || length < time.Second || length > maxWindow*time.Second || length%time.Second != 0 {
		return Quota{}, &fault{idOutOfRange, show(v) + " is out of range",
			fmt.Sprintf("write 1 to %d, and whole seconds from 1s to %s", maxLimit, formatDuration(maxWindow*time.Second))}
	}
	return Quota{limit, length}, nil
}

// limits finds contradictions in how a rule counts. single says that limit or window
// was written.
func (d *decoder) limits(name, where string, single bool, l Limit) {
	if len(l.Limits) > 0 && single {
		d.report(where, fault{idLimitsTwice, name + " has limits, and limit or window too", "keep limits, or limit and window"})
		return
	}
	bad := func(message, fix string) { d.report(where, fault{idBurst, name + ": " + message, fix}) }
	switch {
	case l.Algorithm == SlidingWindow && l.Burst > 0:
		bad("burst belongs to the token bucket", "write algorithm: token_bucket, or remove burst")
	case l.Algorithm == SlidingWindow:
	case len(l.Limits) > 0:
		bad("a token bucket has one limit and window", "write limit, window and burst, and a second rule for a second window")
	case l.Burst == 0:
		bad("a token bucket needs a burst", "write how many may come at once, such as burst: 20")
	default:
		q := ratelimit.Limit{Max: l.Limit, Window: l.Window, Algorithm: ratelimit.TokenBucket, Burst: l.Burst}
		if err := q.Validate(); err != nil {
			bad("the burst takes more than a year to come back", "lower burst, or raise limit")
		}
	}
}

// all are the limits of a rule, whichever way they are written.
func all(limit int, window time.Duration, several []Quota) []Quota {
	if len(several) > 0 {
		return several
	}
	return []Quota{{limit, window}}
}

// All returns the limits of l, whichever way they are written.
func (l *Limit) All() []Quota { return all(l.Limit, l.Window, l.Limits) }

// All returns the limits of r, whichever way they are written.
func (r *Rule) All() []Quota { return all(r.Limit, r.Window, r.Limits) }

// checkLimits is about limits that contradict or weaken each other.
func (l *loader) checkLimits(s *Settings) {
	def := &s.RateLimits.Default
	of := func(name string) string { return "rate_limits.default." + name }
	if l.fine(of("limit"), of("window"), of("limits"), of("algorithm"), of("burst")) {
		where := l.where(of("limits"))
		for _, name := range []string{"burst", "algorithm"} {
			if where == notSet {
				where = l.where(of(name))
			}
		}
		before := len(l.problems)
		l.limits("rate_limits.default", where, l.isGiven(of("limit"), of("window")), *def)
		if len(def.Limits) > 0 {
			def.Limit, def.Window = 0, 0
		}
		l.bad[of("limit")] = len(l.problems) > before
	}
	l.checkExempt(s.RateLimits.InsecureExempt)
	if s.RateLimits.IPv6Prefix > 64 && l.fine("rate_limits.ipv6_prefix") {
		l.report(l.where("rate_limits.ipv6_prefix"), fault{idIPv6Long, fmt.Sprintf("rate_limits.ipv6_prefix: a client has any number of networks of /%d", s.RateLimits.IPv6Prefix),
			"write 64 or less"})
	}
	// The built-in rules are for defaults like the built-in one; who changes that knows.
	if !l.isGiven("rate_limits.rules") || !l.fine("rate_limits.rules", of("limit")) {
		return
	}
	for _, r := range s.RateLimits.Rules {
		where, name := l.where("rate_limits.rules"), "rate_limits.rules: "+show(r.Name)
		if r.Algorithm == SlidingWindow && slices.Contains(r.By, "address") && neverReached(&r, &s.RateLimits.Address) && l.fine("rate_limits.address.limit", "rate_limits.address.window") {
			l.report(where, fault{idNeverReached, name + " admits more than rate_limits.address lets come from one address", "lower its limit, or raise rate_limits.address"})
		}
	}
}

func (l *loader) checkExempt(e InsecureExempt) {
	const addresses, because = "rate_limits.insecure_exempt.addresses", "rate_limits.insecure_exempt.reason"
	if !l.fine(addresses, because) {
		return
	}
	switch n, given := len(e.Addresses), strings.TrimSpace(e.Reason) != ""; {
	case n > 0 && !given:
		l.report(l.where(addresses), fault{idExemptReason, "rate_limits.insecure_exempt: addresses are exempt without a reason", "write " + because + ", which is logged at start"})
	case n == 0 && given:
		l.report(l.where(because), fault{idExemptReason, "rate_limits.insecure_exempt: there is a reason, and nobody is exempt", "write " + addresses + ", or remove the reason"})
	}
}

// neverReached reports whether the guard refuses an address before any limit of r.
func neverReached(r *Rule, guard *Limit) bool {
	for _, q := range r.All() {
		windows := (q.Window + guard.Window - 1) / guard.Window // of the guard, as many as cover one of the rule
		if int64(q.Limit) <= int64(guard.Limit)*int64(windows) {
			return false
		}
	}
	return true
}
