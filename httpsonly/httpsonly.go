package httpsonly

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/internal/accept"
	"github.com/merlonhq/merlon/problem"
)

// Config says where navigations are redirected to, and what clear text passes.
// The zero Config refuses all clear text but probes.
type Config struct {
	// Hosts are the hosts a navigation may be redirected to, such as
	// "api.example.com" or "api.example.com:8443"; the port is that of https. A
	// request for one of them, on any port, goes there (to the first of its ports
	// when there are several); others go to the first host.
	// Default: none, and navigations are refused too.
	Hosts []string
	// RedirectPort is the port of https for hosts without one: 1 to 65535.
	// Default: 443.
	RedirectPort int
	// InsecureLoopback, when it holds a reason, lets clear text pass when it
	// comes from a loopback address and from no proxy.
	InsecureLoopback string
	// InsecureHTTP, when it holds a reason, lets all clear text pass.
	InsecureHTTP string
}

// A Stage refuses clear text. It does not change after [New].
type Stage struct {
	targets      map[string]string // by host name: "https://" and authority
	first        string            // the first of targets, or ""
	passLoopback bool
	passAll      bool
}

// New returns a stage. All errors of cfg are reported at once.
func New(cfg Config) (*Stage, error) {
	s := &Stage{
		targets:      make(map[string]string, len(cfg.Hosts)),
		passLoopback: cfg.InsecureLoopback != "",
		passAll:      cfg.InsecureHTTP != "",
	}
	var errs []error
	if cfg.RedirectPort < 0 || cfg.RedirectPort > 65535 {
		errs = append(errs, fmt.Errorf("httpsonly: RedirectPort %d: want 1 to 65535, or 0 for 443", cfg.RedirectPort))
	}
	for _, h := range cfg.Hosts {
		name, err := checkHost(h)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if s.targets[name] != "" {
			continue
		}
		target := "https://" + h
		if h == name && cfg.RedirectPort != 0 && cfg.RedirectPort != 443 {
			target += ":" + strconv.Itoa(cfg.RedirectPort)
		}
		s.targets[name] = target
		if s.first == "" {
			s.first = target
		}
	}
	for _, reason := range []struct{ field, text string }{{"InsecureLoopback", cfg.InsecureLoopback}, {"InsecureHTTP", cfg.InsecureHTTP}} {
		if reason.text != "" && strings.TrimSpace(reason.text) == "" {
			errs = append(errs, fmt.Errorf("httpsonly: %s %q: want a reason, or nothing", reason.field, reason.text))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// checkHost returns the name of a host with or without a port.
func checkHost(h string) (name string, err error) {
	want := fmt.Errorf("httpsonly: Hosts %q: want a host and at most a port, in ASCII and lower case, such as %q", h, "api.example.com")
	u, err := url.Parse("https://" + h)
	if err != nil || u.Host != h || u.Hostname() == "" || h != strings.ToLower(h) || strings.HasSuffix(h, ":") {
		return "", want
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return "", want
		}
	}
	name = withoutPort(h)
	if strings.HasPrefix(name, "[") {
		if a, err := netip.ParseAddr(name[1 : len(name)-1]); err != nil || a.Zone() != "" || a.String() != name[1:len(name)-1] {
			return "", want
		}
		return name, nil
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return "", want
		}
	}
	return name, nil
}

// withoutPort cuts the port off an authority.
func withoutPort(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		return authority[:i]
	}
	return authority
}

// Name returns "httpsonly".
func (s *Stage) Name() string { return "httpsonly" }

// Handler returns a handler that keeps clear text from next.
func (s *Stage) Handler(next http.Handler) http.Handler { return exchange.Handler(s, next) }

// Decide redirects or refuses clear text.
func (s *Stage) Decide(x *exchange.Exchange) exchange.Outcome {
	switch r := x.Route(); {
	case x.Secure, s.passAll, r != nil && r.Probe:
		return exchange.Continue()
	case s.passLoopback && fromLoopback(x):
		return exchange.Continue()
	case x.Credential != identity.None:
		p := problem.New(problem.HTTPSRequired, "This request carried a credential in clear text. Anybody on the way may have read it: replace it, and use https.")
		return exchange.Refuse(p, audit.AuthnCredentialInClear, slog.String("credential", kind(x.Credential)))
	}
	if location := s.Location(x.Host, x.Request); location != "" {
		x.SetHeader("Location", location)
		return exchange.Answer(http.StatusPermanentRedirect)
	}
	return exchange.Refuse(problem.New(problem.HTTPSRequired, "This service answers over https only."), "")
}

func kind(k identity.Kind) string {
	if k == identity.Multiple {
		return "multiple"
	}
	return k.String()
}

// fromLoopback reports whether both ends of the connection, and the client, are
// this machine. Headers in which proxies tell of others mean nothing here: only a
// trusted proxy's do, and clientip has read those.
func fromLoopback(x *exchange.Exchange) bool {
	return !x.Forwarded && x.Peer.IsLoopback() && x.Client.IsLoopback()
}

// Location returns where to redirect r, a request in clear text for host, or
// "" when r must be refused.
func (s *Stage) Location(host string, r *http.Request) string {
	if safe := r.Method == http.MethodGet || r.Method == http.MethodHead; s.first == "" || !safe || !accept.Navigation(r) || !strings.HasPrefix(r.URL.Path, "/") {
		return ""
	}
	target, ok := s.targets[strings.ToLower(withoutPort(host))]
	if !ok {
		target = s.first
	}
	location := target + r.URL.EscapedPath()
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		location += "?" + r.URL.RawQuery
	}
	if !printable(location) {
		return ""
	}
	return location
}

// printable reports whether s is what a URL may hold at most: visible ASCII.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
