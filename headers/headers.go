package headers

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/merlonhq/merlon/exchange"
)

// A Profile is a set of headers for one kind of answers.
type Profile string

// API is the profile of answers that are data. It is the zero Profile's meaning.
const API Profile = "api"

// Config says which headers are sent. The zero Config is the api profile with
// two years of Strict-Transport-Security for the host and its subdomains.
type Config struct {
	// Profile is the set of headers. Default: API, the only one.
	Profile Profile
	// HSTSMaxAge is how long browsers shall use TLS only: whole seconds, 1s or
	// more. Default: 17520h, two years.
	HSTSMaxAge time.Duration
	// HSTSPreload asks for the host to be built into browsers (hstspreload.org).
	// It is hard to undo. It needs HSTSMaxAge of 8760h or more, and subdomains.
	HSTSPreload bool
	// InsecureHSTSHostOnly, when it holds a reason, leaves subdomains out of
	// Strict-Transport-Security: an attacker in the network may then speak for
	// them, and set cookies for the host.
	InsecureHSTSHostOnly string
}

// A Stage sets headers. It does not change after [New].
type Stage struct {
	hsts string
}

const (
	defaultHSTSMaxAge = 17520 * time.Hour
	preloadMinMaxAge  = 8760 * time.Hour // hstspreload.org, "Submission Requirements"
)

// New returns a stage. All errors of cfg are reported at once.
func New(cfg Config) (*Stage, error) {
	if cfg.Profile == "" {
		cfg.Profile = API
	}
	if cfg.HSTSMaxAge == 0 {
		cfg.HSTSMaxAge = defaultHSTSMaxAge
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	hsts := "max-age=" + strconv.FormatInt(int64(cfg.HSTSMaxAge/time.Second), 10)
	if cfg.InsecureHSTSHostOnly == "" {
		hsts += "; includeSubDomains"
	}
	if cfg.HSTSPreload {
		hsts += "; preload"
	}
	return &Stage{hsts: hsts}, nil
}

func (cfg Config) check() error {
	var errs []error
	if cfg.Profile != API {
		errs = append(errs, fmt.Errorf("headers: Profile %q: want %q", cfg.Profile, API))
	}
	if cfg.HSTSMaxAge < time.Second || cfg.HSTSMaxAge%time.Second != 0 {
		errs = append(errs, fmt.Errorf("headers: HSTSMaxAge %s: want whole seconds, 1s or more, or 0 for the default of %s", cfg.HSTSMaxAge, defaultHSTSMaxAge))
	}
	if cfg.InsecureHSTSHostOnly != "" && strings.TrimSpace(cfg.InsecureHSTSHostOnly) == "" {
		errs = append(errs, fmt.Errorf("headers: InsecureHSTSHostOnly %q: want a reason, or nothing", cfg.InsecureHSTSHostOnly))
	}
	if cfg.HSTSPreload && cfg.HSTSMaxAge < preloadMinMaxAge {
		errs = append(errs, fmt.Errorf("headers: HSTSPreload: HSTSMaxAge %s is too short: want %s or more", cfg.HSTSMaxAge, preloadMinMaxAge))
	}
	if cfg.HSTSPreload && cfg.InsecureHSTSHostOnly != "" {
		errs = append(errs, errors.New("headers: HSTSPreload: preloading holds for subdomains too: leave InsecureHSTSHostOnly empty"))
	}
	return errors.Join(errs...)
}

// Name returns "headers".
func (s *Stage) Name() string { return "headers" }

// Handler returns a handler that sets the headers and calls next.
func (s *Stage) Handler(next http.Handler) http.Handler { return exchange.Handler(s, next) }

// Decide sets the headers of the answer. It always continues.
func (s *Stage) Decide(x *exchange.Exchange) exchange.Outcome {
	x.SetHeader("Cache-Control", "no-store")
	x.SetHeader("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	x.SetHeader("Cross-Origin-Resource-Policy", "same-origin")
	x.SetHeader("Referrer-Policy", "no-referrer")
	x.SetHeader("X-Content-Type-Options", "nosniff")
	x.SetHeader("X-Frame-Options", "DENY")
	if x.Secure {
		x.SetHeader("Strict-Transport-Security", s.hsts)
	}
	return exchange.Continue()
}
