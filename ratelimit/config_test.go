package ratelimit_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
)

func TestNewReportsEveryErrorWithItsRule(t *testing.T) {
	good := ratelimit.Rule{Name: "good", Match: []string{"POST /users"}, Limits: minute(10), By: []ratelimit.Part{"address", "route"}}
	rule := func(change func(*ratelimit.Rule)) ratelimit.Rule {
		r := good
		change(&r)
		return r
	}
	for _, tt := range []struct {
		name string
		cfg  ratelimit.Config
		want []string // one for each line of the error
	}{
		{"the zero config", ratelimit.Config{}, nil},
		{"a good rule", ratelimit.Config{Rules: []ratelimit.Rule{good}}, nil},
		{"every part", ratelimit.Config{Rules: []ratelimit.Rule{rule(func(r *ratelimit.Rule) {
			r.By = []ratelimit.Part{"address", "account", "principal", "session", "key", "header:X-Tenant", "header:X-Region", "route"}
		})}}, nil},
		{"names", ratelimit.Config{Rules: []ratelimit.Rule{
			good, good,
			rule(func(r *ratelimit.Rule) { r.Name = "" }),
			rule(func(r *ratelimit.Rule) { r.Name = "Upper" }),
			rule(func(r *ratelimit.Rule) { r.Name = strings.Repeat("x", 25) }),
			rule(func(r *ratelimit.Rule) { r.Name = strings.Repeat("x", 24) }),
			rule(func(r *ratelimit.Rule) { r.Name = "address" }),
			rule(func(r *ratelimit.Rule) { r.Name = "key" }),
		}}, []string{`rule "good": the name is taken`, `rule "": the name`, `rule "Upper": the name`, `rule "xxxxxxxxxxxxxxxxxxxxxxxxx": the name`,
			`rule "address": the name is taken`, `rule "key": the name is taken`}},
		{"an empty rule", ratelimit.Config{Rules: []ratelimit.Rule{{Name: "empty"}}},
			[]string{`rule "empty": it has no limit`, "it does not say what it counts by", `rule "empty": it matches no route`}},
		{"routes", ratelimit.Config{Rules: []ratelimit.Rule{rule(func(r *ratelimit.Rule) {
			r.Match = []string{"POST /user", "POST /users", "POST /users"}
		})}}, []string{`no route has the pattern "POST /user"`, `pattern "POST /users" is there twice`}},
		{"limits", ratelimit.Config{Rules: []ratelimit.Rule{rule(func(r *ratelimit.Rule) {
			r.Limits = append(minute(10), ratelimit.Limit{Max: 20, Window: time.Minute}, ratelimit.Limit{Window: time.Hour})
		})}}, []string{`rule "good": two limits have the window 1m0s`, "limit 0 is out of range"}},
		{"parts", ratelimit.Config{Rules: []ratelimit.Rule{rule(func(r *ratelimit.Rule) {
			r.By = []ratelimit.Part{"address", "address", "ip", "header:", "header:A B", "header:authorization", "header:cookie", "header:x-forwarded-for", "header:X-Tenant", "header:x-tenant"}
		})}}, []string{`part "address" is there twice`, `part "ip" is unknown`, `"header:" names no header`, `header "A B"`, `header "authorization" holds a secret`,
			`header "cookie" holds a secret`, `header "x-forwarded-for" is chosen by the client`, `part "header:x-tenant" is there twice`}},
		{"count", ratelimit.Config{Rules: []ratelimit.Rule{rule(func(r *ratelimit.Rule) { r.Count = "successes" })}}, []string{`count "successes"`}},
		{"built-in rules", ratelimit.Config{
			Default:        ratelimit.Rule{Name: "standard", Match: []string{"POST /users"}, By: []ratelimit.Part{"account"}},
			Address:        ratelimit.Rule{By: []ratelimit.Part{"key"}, Count: "failures"},
			BadCredentials: ratelimit.Rule{Limits: []ratelimit.Limit{{Max: -4, Window: time.Minute}}},
		}, []string{`rule "default": its name is fixed, not "standard"`, "it counts on all routes", `part "account"`,
			`rule "address": it counts by address`, `rule "address": count "failures"`, `rule "bad_credentials": limit -4`}},
		{"built-in rules named as they are", ratelimit.Config{
			Default: ratelimit.Rule{Name: "default", By: []ratelimit.Part{"address"}, Count: "all"},
			Address: ratelimit.Rule{Name: "address", By: []ratelimit.Part{"address"}, Count: "all"},
		}, nil},
		{"the rest", ratelimit.Config{OnStoreError: "fallback", IPv4Bits: 33, IPv6Bits: 15,
			InsecureExempt: ratelimit.InsecureExempt{Addresses: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), {}}, Reason: " "}},
			[]string{`OnStoreError "fallback"`, "IPv4Bits 33", "IPv6Bits 15", "0.0.0.0/0 is no network", "invalid Prefix is no network", "no Reason"}},
		{"the nearest that is right", ratelimit.Config{OnStoreError: "allow", IPv4Bits: 24, IPv6Bits: 48,
			InsecureExempt: ratelimit.InsecureExempt{Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Reason: "the load test"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Routes = mustRoutes(t)
			_, err := ratelimit.New(tt.cfg)
			var lines []string
			if err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(tt.want) {
				t.Fatalf("error\n%v\nwant %d lines: %q", err, len(tt.want), tt.want)
			}
			for i, want := range tt.want {
				if !strings.Contains(strings.Join(lines, "\n"), want) {
					t.Errorf("line %d: error\n%v\nlacks %q", i, err, want)
				}
			}
		})
	}
}

func TestARouteThatWeighsMoreThanItsRuleAdmits(t *testing.T) {
	for _, tt := range []struct {
		weight uint32
		ok     bool
	}{{100, true}, {101, false}} {
		routes := mustRoutes(t, route.Route{Pattern: "GET /heavy", Public: true, Weight: tt.weight})
		_, err := ratelimit.New(ratelimit.Config{Routes: routes})
		if (err == nil) != tt.ok || err != nil && !strings.Contains(err.Error(), `the route "GET /heavy" weighs 101`) {
			t.Errorf("weight %d: error %v; want ok %v", tt.weight, err, tt.ok)
		}
	}
}

func TestPrefixLengthsAreSettings(t *testing.T) {
	s := newService(t, ratelimit.Config{IPv4Bits: 24, IPv6Bits: 48, Default: ratelimit.Rule{Limits: minute(1)}}, nil, ok)
	s.spend(1, 200, "GET /posts", "192.0.2.1")
	s.spend(1, 429, "GET /posts", "192.0.2.2")
	s.spend(1, 200, "GET /posts", "192.0.3.1")
	s.spend(1, 200, "GET /posts", "2001:db8:1:1::1")
	s.spend(1, 429, "GET /posts", "2001:db8:1:2::1")
	s.spend(1, 200, "GET /posts", "2001:db8:2:1::1")
}
