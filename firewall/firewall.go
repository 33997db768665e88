package firewall

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// Config says what passes. The zero Config is an error: hosts must be listed.
type Config struct {
	// Hosts are the hosts that are served, such as "api.example.com",
	// "api.example.com:8443", "192.0.2.1" or "[2001:db8::1]": in lower case, names
	// in ASCII (IDNA A-labels), IPv6 in brackets and canonical form. An entry
	// without a port allows any port. Required, unless a setting below has a reason.
	Hosts []string
	// Methods are the methods that pass, in upper case. Default: GET, HEAD, POST,
	// PUT, PATCH, DELETE, OPTIONS. TRACE and CONNECT are errors.
	Methods []string
	// MaxURI bounds the request target in bytes. Default: 8192.
	MaxURI int
	// MaxHeaderBytes bounds one header value in bytes. Default: 8192.
	MaxHeaderBytes int
	// MaxHeaders bounds the number of header lines. Default: 100.
	MaxHeaders int
	// InsecureAnyHost, when it holds a reason, lets every well-formed host pass.
	InsecureAnyHost string
	// InsecureLoopbackHosts, when it holds a reason, lets localhost, 127.0.0.0/8
	// and [::1] pass, with any port, beside Hosts.
	InsecureLoopbackHosts string
}

// A Stage refuses ambiguous requests. It does not change after [New].
type Stage struct {
	hosts          map[authority]bool
	written        map[string]bool // hosts as they are configured
	anyHost        bool
	loopbackHosts  bool
	methods        []string
	allow          string
	maxURI         int
	maxHeaderBytes int
	maxHeaders     int
}

const (
	defaultMaxURI         = 8 << 10
	defaultMaxHeaderBytes = 8 << 10
	defaultMaxHeaders     = 100
)

// New returns a stage. All errors of cfg are reported at once.
func New(cfg Config) (*Stage, error) {
	s := &Stage{
		hosts:         make(map[authority]bool, len(cfg.Hosts)),
		written:       make(map[string]bool, len(cfg.Hosts)),
		anyHost:       cfg.InsecureAnyHost != "",
		loopbackHosts: cfg.InsecureLoopbackHosts != "",
		methods:       slices.Clone(cfg.Methods),
	}
	if len(s.methods) == 0 {
		s.methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	}
	s.allow = strings.Join(s.methods, ", ")
	errs := []error{
		s.listHosts(cfg),
		checkMethods(s.methods),
		bound(&s.maxURI, "MaxURI", cfg.MaxURI, defaultMaxURI),
		bound(&s.maxHeaderBytes, "MaxHeaderBytes", cfg.MaxHeaderBytes, defaultMaxHeaderBytes),
		bound(&s.maxHeaders, "MaxHeaders", cfg.MaxHeaders, defaultMaxHeaders),
		checkReason("InsecureAnyHost", cfg.InsecureAnyHost),
		checkReason("InsecureLoopbackHosts", cfg.InsecureLoopbackHosts),
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func checkMethods(methods []string) error {
	var errs []error
	for _, m := range methods {
		switch {
		case m == http.MethodTrace || m == http.MethodConnect:
			errs = append(errs, fmt.Errorf("firewall: Methods %q: never passes: leave it out", m))
		case !isToken(m) || m != strings.ToUpper(m):
			errs = append(errs, fmt.Errorf("firewall: Methods %q: want a token in upper case, such as %q", m, "GET"))
		}
	}
	return errors.Join(errs...)
}

func bound(field *int, name string, value, byDefault int) error {
	*field = value
	if value == 0 {
		*field = byDefault
	}
	if value < 0 {
		return fmt.Errorf("firewall: %s %d: want 1 or more, or 0 for %d", name, value, byDefault)
	}
	return nil
}

func checkReason(name, reason string) error {
	if reason != "" && strings.TrimSpace(reason) == "" {
		return fmt.Errorf("firewall: %s %q: want a reason, or nothing", name, reason)
	}
	return nil
}

// Name returns "firewall".
func (s *Stage) Name() string { return "firewall" }

// Handler returns a handler that keeps ambiguous requests from next.
func (s *Stage) Handler(next http.Handler) http.Handler { return exchange.Handler(s, next) }

// Decide refuses x when it has not one meaning.
//
// In shadow it lets pass what is not listed (a host, a method) and what is larger
// than configured. What has no one meaning is refused all the same: policy might
// match another path than the one that is served.
func (s *Stage) Decide(x *exchange.Exchange) exchange.Outcome {
	r := x.Request
	if !slices.Contains(s.methods, r.Method) {
		return s.refuseMethod(x).Else(func() exchange.Outcome {
			wider := *s
			wider.methods = []string{r.Method}
			return wider.Decide(x)
		})
	}
	fault := s.checkTarget(r)
	if fault == nil {
		fault = checkPath(r.URL)
	}
	if fault == nil {
		fault = s.checkHeader(r)
	}
	switch {
	case fault == nil:
		return s.checkHost(x)
	case !fault.size:
		return fault.refuse().Firmly()
	}
	return fault.refuse().Else(func() exchange.Outcome {
		wider := *s
		wider.maxURI, wider.maxHeaderBytes, wider.maxHeaders = math.MaxInt, math.MaxInt, math.MaxInt
		return wider.Decide(x)
	})
}

func (s *Stage) refuseMethod(x *exchange.Exchange) exchange.Outcome {
	p := problem.New(problem.MethodNotAllowed, "This method is not served here.")
	p.Allow = x.Match.Allow
	if p.Allow == "" {
		p.Allow = s.allow
	}
	return exchange.Refuse(p, audit.InputValidationFail, slog.String("reason", "method"))
}

// A fault is one way in which a request has more than one meaning, or none.
type fault struct {
	reason string // for the operator
	detail string // for the client
	code   problem.Code
	event  audit.Type
	size   bool // it has one meaning, and more of it than is allowed
}

func malformed(reason, detail string) *fault {
	return &fault{reason: reason, detail: detail, code: problem.MalformedRequest, event: audit.InputValidationFail}
}

// oversized is the fault of what is larger than configured.
func oversized(reason, detail string) *fault {
	f := malformed(reason, detail)
	f.size = true
	return f
}

// traversal is the fault of a path that reaches for another one.
func traversal(reason, detail string) *fault {
	return &fault{reason: reason, detail: detail, code: problem.MalformedRequest, event: audit.MaliciousDirectReference}
}

func (f *fault) refuse() exchange.Outcome {
	return exchange.Refuse(problem.New(f.code, f.detail), f.event, slog.String("reason", f.reason))
}
