package findings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// most returns how many a limit admits in a span of time at most.
func most(limit int, window, span time.Duration) int {
	if window >= span {
		return limit
	}
	return limit * int((span+window-1)/window)
}

// fewest returns how many several limits admit together in a span of time at most. A
// token bucket that is full admits its burst besides.
func fewest(limits []config.Quota, burst int, span time.Duration) int {
	n := most(limits[0].Limit, limits[0].Window, span)
	for _, q := range limits[1:] {
		n = min(n, most(q.Limit, q.Window, span))
	}
	return n + burst
}

// loose judges a limit that has a field of its own by what it is when it is not set.
func (s *subject) loose(name string, l config.Limit, built int) []hit {
	if n := fewest(l.All(), l.Burst, time.Minute); n > 10*built {
		return s.at(name+".limit", fmt.Sprintf("%d in a minute are admitted, the built-in limit is %d", n, built), fmt.Sprintf("write %d a minute or less", 10*built))
	}
	return nil
}

func looseDefault(s *subject) []hit {
	return s.loose("rate_limits.default", s.set.RateLimits.Default, 100)
}

func looseAddress(s *subject) []hit {
	return s.loose("rate_limits.address", s.set.RateLimits.Address, 1000)
}

func looseBadCredentials(s *subject) []hit {
	return s.loose("rate_limits.bad_credentials", s.set.RateLimits.BadCredentials, 30)
}

// counted calls f with each limit of the settings that says what it counts by.
func (s *subject) counted(f func(setting, name string, by []string) []hit) []hit {
	out := f("rate_limits.default.by", "the default limit", s.set.RateLimits.Default.By)
	for i, r := range s.set.RateLimits.Rules {
		out = append(out, f(entry("rate_limits.rules", i), "rule "+r.Name, r.By)...)
	}
	return out
}

func countedByHeader(s *subject) []hit {
	return s.counted(func(setting, name string, by []string) []hit {
		i := slices.IndexFunc(by, func(p string) bool { return strings.HasPrefix(p, "header:") })
		if i < 0 {
			return nil
		}
		return s.at(setting, name+" counts by "+by[i], "count by principal_or_address or address, and leave the header out")
	})
}

func countedTogether(s *subject) []hit {
	return s.counted(func(setting, name string, by []string) []hit {
		if !slices.Equal(by, []string{"route"}) {
			return nil
		}
		return s.at(setting, name+" counts by route alone", "add principal_or_address")
	})
}

// The parts of a key that a rule by address, or by account, may have: another part
// splits its count.
var (
	byAddress = []string{"address", "principal_or_address", "route"}
	byAccount = []string{"account", "route"}
)

// tightest returns how many a rule over the route admits in the span at most, of
// those that count by these parts only; ok is false when there is none.
func (s *subject) tightest(route string, parts []string, span time.Duration) (n int, setting string, ok bool) {
	for i, r := range s.set.RateLimits.Rules {
		other := func(p string) bool { return !slices.Contains(parts, p) }
		if !r.Covers(route) || slices.ContainsFunc(r.By, other) || slices.Equal(r.By, []string{"route"}) {
			continue
		}
		if m := fewest(r.All(), r.Burst, span); !ok || m < n {
			n, setting, ok = m, entry("rate_limits.rules", i), true
		}
	}
	return n, setting, ok
}

// guarded reports whether merlon.W001 has nothing to say about the route.
func (s *subject) guarded(route string) bool {
	return !slices.Contains(config.Unguarded(s.set.RateLimits.Rules), route)
}

func looseByAddress(s *subject) []hit {
	const guesses, span = 5, 5 * time.Minute
	var out []hit
	for _, route := range config.PasswordRoutes() {
		if n, setting, ok := s.tightest(route, byAddress, span); ok && n > guesses {
			out = append(out, s.at(setting, fmt.Sprintf("%s can be tried %d times in 5 minutes from one address", route, n), "write limit: 5, window: 5m, by: [address]")...)
		}
	}
	return out
}

func notByAddress(s *subject) []hit {
	var out []hit
	for _, route := range config.PasswordRoutes() {
		if _, _, ok := s.tightest(route, byAddress, time.Minute); !ok && s.guarded(route) {
			out = append(out, s.at("rate_limits.rules", "no rule counts "+route+" by address alone", "add one with limit: 5, window: 5m, by: [address]")...)
		}
	}
	return out
}

func notByAccount(s *subject) []hit {
	const guesses, span = 100, time.Hour
	var out []hit
	for _, route := range config.PasswordRoutes() {
		n, setting, ok := s.tightest(route, byAccount, span)
		switch {
		case ok && n > guesses:
			out = append(out, s.at(setting, fmt.Sprintf("%s can be tried %d times in an hour at one account", route, n), "write limit: 50, window: 1h, by: [account]")...)
		case !ok && s.guarded(route):
			out = append(out, s.at("rate_limits.rules", "no rule counts "+route+" by account alone", "add one with limit: 50, window: 1h, by: [account], count: failures")...)
		}
	}
	return out
}

func accountUnknown(s *subject) []hit {
	var out []hit
	for i, r := range s.set.RateLimits.Rules {
		if slices.Contains(r.By, "account") && !slices.ContainsFunc(config.PasswordRoutes(), r.Covers) {
			out = append(out, s.at(entry("rate_limits.rules", i), "rule "+r.Name+" counts by account and matches no route that checks passwords", "count by principal_or_address or address")...)
		}
	}
	return out
}

func looseRegistration(s *subject) []hit {
	const accounts = 100
	if n, setting, ok := s.tightest(config.RegisterRoute, byAddress, time.Minute); ok && n > accounts {
		return s.at(setting, fmt.Sprintf("%d accounts can be made in a minute from one address", n), "write 10 a minute")
	}
	return nil
}

func allowOnError(s *subject) []hit {
	if s.set.RateLimits.OnStoreError == "allow" {
		return s.at("rate_limits.on_store_error", "allow admits everything while the store is away", "write local or deny")
	}
	return nil
}

func fewHoldAll(s *subject) []hit {
	c := s.set.Connections
	if 2*c.PerAddress < c.Max {
		return nil
	}
	return s.at("connections.per_address", fmt.Sprintf("%d of %d connections", c.PerAddress, c.Max), "lower it, or raise connections.max")
}

// fewFiles leaves room for the database, the event log and what else is open.
func fewFiles(s *subject) []hit {
	const others = 100
	if n := s.set.Connections.Max; s.OpenFiles > 0 && uint64(n+others) > s.OpenFiles {
		return s.at("connections.max", fmt.Sprintf("%d connections and %d other files, and %d may be open", n, others, s.OpenFiles), "raise LimitNOFILE (ulimit -n), or lower it")
	}
	return nil
}

// Networks that are exempt and wider than these are no longer single machines.
const (
	machinesV4 = 24
	machinesV6 = 64
)

func isWide(p netip.Prefix) bool {
	return p.Addr().Is4() && p.Bits() < machinesV4 || p.Addr().Is6() && p.Bits() < machinesV6
}

func exempt(wide bool) func(*subject) []hit {
	return func(s *subject) []hit {
		var out []hit
		for i, p := range s.set.RateLimits.InsecureExempt.Addresses {
			if isWide(p) == wide {
				out = append(out, s.at(entry("rate_limits.insecure_exempt.addresses", i), p.String()+" is not limited", "give what comes from there a rule that is high enough, or name single machines")...)
			}
		}
		return out
	}
}

func reportsUnlimited(s *subject) []hit {
	if slices.ContainsFunc(s.set.RateLimits.Rules, func(r config.Rule) bool { return r.Covers(config.ReportsRoute) }) {
		return nil
	}
	return s.at("rate_limits.rules", "no rule limits "+config.ReportsRoute, "add one with limit: 60, window: 1m, by: [address]; the list replaces the built-in one")
}
