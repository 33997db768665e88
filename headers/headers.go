package headers

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/merlonhq/merlon/exchange"
)

// A Profile is the name of a set of headers for one kind of answers.
type Profile string

// The profiles that are always there.
const (
	// API is for answers that are data. It is the zero Profile's meaning.
	API Profile = "api"
	// Web is for pages.
	Web Profile = "web"
	// Form is Web for pages with forms: requests to the page's own origin tell
	// where they come from.
	Form Profile = "form"
)

// Config says which headers are sent. The zero Config is the api profile with
// two years of Strict-Transport-Security for the host and its subdomains.
type Config struct {
	// Profile is the set of headers of requests without a route and of routes that
	// name none, see [route.Route.Headers]. Default: API.
	Profile Profile
	// Page is what Web and Form say. The zero Page is the strict one.
	Page Page
	// Pages are further profiles by their name, for pages that need a policy of
	// their own. Names are of a-z, 0-9 and -, and none of those above.
	Pages map[Profile]Page
	// Reports is where browsers report what a policy blocked: a path of this host
	// such as "/reports", served by package report, or an https URL. They do so over
	// TLS only. Default: nowhere.
	Reports string
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
	hsts     string
	standard *set
	profiles map[Profile]*set
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
	profiles, err := cfg.compile()
	if err := errors.Join(cfg.check(), err); err != nil {
		return nil, err
	}
	hsts := "max-age=" + strconv.FormatInt(int64(cfg.HSTSMaxAge/time.Second), 10)
	if cfg.InsecureHSTSHostOnly == "" {
		hsts += "; includeSubDomains"
	}
	if cfg.HSTSPreload {
		hsts += "; preload"
	}
	return &Stage{hsts: hsts, standard: profiles[cfg.Profile], profiles: profiles}, nil
}

// compile returns all profiles, and everything that is wrong with them.
func (cfg *Config) compile() (map[Profile]*set, error) {
	profiles := map[Profile]*set{API: apiSet()}
	var errs []error
	add := func(name Profile, field string, p Page) {
		s, faults := p.compile(cfg.Reports)
		profiles[name] = s
		for _, err := range faults {
			errs = append(errs, fmt.Errorf("headers: %s: %w", field, err))
		}
	}
	add(Web, "Page", cfg.Page)
	if len(errs) == 0 { // or they would be there twice
		form := cfg.Page
		if form.Referrer == "" {
			form.Referrer = SameOrigin
		}
		add(Form, "Page", form)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Pages)) {
		switch {
		case name == API || name == Web || name == Form:
			errs = append(errs, fmt.Errorf("headers: Pages[%q]: the name is taken: set Page, or choose another name", name))
		case !isName(name):
			errs = append(errs, fmt.Errorf("headers: Pages[%q]: want a name of a-z, 0-9 and -", name))
		default:
			add(name, fmt.Sprintf("Pages[%q]", name), cfg.Pages[name])
		}
	}
	return profiles, errors.Join(errs...)
}

func isName(name Profile) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != ""
}

// Has reports whether there is a profile of this name, so that a route may name it.
func (s *Stage) Has(name Profile) bool { return s.profiles[name] != nil }

func (cfg Config) check() error {
	var errs []error
	if _, named := cfg.Pages[cfg.Profile]; !named && cfg.Profile != API && cfg.Profile != Web && cfg.Profile != Form {
		errs = append(errs, fmt.Errorf("headers: Profile %q: want %q, %q, %q or one of Pages", cfg.Profile, API, Web, Form))
	}
	if err := checkReports(cfg.Reports); err != nil {
		errs = append(errs, err)
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
	use := s.standard
	if r := x.Route(); r != nil && r.Headers != "" {
		// A name that nobody compiled is told by merlon.New; alone, the standard holds.
		if named := s.profiles[Profile(r.Headers)]; named != nil {
			use = named
		}
	}
	use.apply(x)
	if x.Secure {
		x.SetHeader("Strict-Transport-Security", s.hsts)
	}
	return exchange.Continue()
}
