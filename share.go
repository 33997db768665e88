package merlon

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"log/slog"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/origin"
	"github.com/merlonhq/merlon/route"
)

// developmentOrigins are where front ends run while they are written.
var developmentOrigins = [...]string{"http://localhost:3000", "http://localhost:8080", "http://127.0.0.1:3000"}

// share hands the facts at the top of the configuration to the stages. What would
// overwrite a setting of a stage is an error instead.
func (b *builder) share(routes *route.Table) {
	cfg := &b.cfg
	switch cfg.Environment {
	case "", Production:
		if cfg.CORS.Development || cfg.CSRF.Development {
			b.fail("CORS.Development or CSRF.Development is set: set Environment to %q", Development)
		}
	case Development:
		b.develop()
	default:
		b.fail("Environment %q: want %q or %q", cfg.Environment, Production, Development)
	}
	if cfg.ErrorLog == nil {
		cfg.ErrorLog = slog.Default()
	}
	if cfg.Recorder == nil {
		cfg.Recorder = audit.ToLog(cfg.ErrorLog)
	}
	if cfg.ClientIP.OnUndeclared == nil {
		cfg.ClientIP.OnUndeclared = undeclaredProxy(cfg.ErrorLog)
	}
	if cfg.RateLimit.OnMisuse == nil {
		cfg.RateLimit.OnMisuse = misuse(cfg.ErrorLog)
	}
	if len(cfg.HTTPSOnly.Hosts)+len(cfg.Firewall.Hosts) > 0 {
		b.fail("HTTPSOnly.Hosts or Firewall.Hosts is set: set Hosts of the whole Config, so that there is one list")
	}
	cfg.HTTPSOnly.Hosts, cfg.Firewall.Hosts = cfg.Hosts, cfg.Hosts
	if cfg.RateLimit.Routes != nil {
		b.fail("RateLimit.Routes is set: set Routes of the whole Config, so that there is one table")
	}
	b.shareOrigins(routes)
	b.shareSecret()
}

// develop relaxes what [Development] says, with the reasons of the user's own
// where there are any.
func (b *builder) develop() {
	cfg := &b.cfg
	const reason = "the environment is development"
	cfg.HTTPSOnly.InsecureLoopback = cmp.Or(cfg.HTTPSOnly.InsecureLoopback, reason)
	cfg.Firewall.InsecureLoopbackHosts = cmp.Or(cfg.Firewall.InsecureLoopbackHosts, reason)
	cfg.CORS.Development = true
	if cfg.Origins == nil && cfg.CORS.InsecureAnyOrigin == "" {
		cfg.Origins = developmentOrigins[:]
	}
}

func (b *builder) shareOrigins(routes *route.Table) {
	cfg := &b.cfg
	if cfg.CORS.Routes != nil {
		b.fail("CORS.Routes is set: set Routes of the whole Config, so that there is one table")
		cfg.CORS.Routes = nil
	}
	if len(cfg.CORS.Origins)+len(cfg.CSRF.Origins) > 0 || cfg.CORS.OriginSet != nil || cfg.CSRF.OriginSet != nil {
		b.fail("Origins or OriginSet of CORS or CSRF is set: set Origins of the whole Config, so that there is one list")
	}
	list := cfg.Origins
	if cfg.CORS.InsecureAnyOrigin != "" {
		list = nil // from anywhere pages may read answers, and from none that is not ours change anything
	}
	set, err := origin.Compile(list, origin.Options{Development: cfg.CORS.Development, Routes: routes})
	if err != nil {
		b.errs = append(b.errs, err)
	}
	cfg.CORS.OriginSet, cfg.CSRF.OriginSet = set, set
}

// minSecret is what csrf asks of a key, in bytes. It is asked here too, by the
// name that the user knows.
const minSecret = 32

func (b *builder) shareSecret() {
	cfg := &b.cfg
	if cfg.CSRF.Key != nil || cfg.CSRF.PreviousKeys != nil {
		b.fail("CSRF.Key or CSRF.PreviousKeys is set: set Secret and PreviousSecrets of the whole Config")
	}
	cfg.CSRF.Key, cfg.CSRF.PreviousKeys = nil, nil
	enough := func(name string, secret []byte) bool {
		if len(secret) < minSecret {
			b.fail("%s has %d bytes: want %d or more random ones", name, len(secret), minSecret)
			return false
		}
		return true
	}
	// Without sessions nothing that lasts is signed, so a key per process will do;
	// that sessions need a Secret is told with the contradictions.
	if cfg.Secret != nil && enough("Secret", cfg.Secret) {
		cfg.CSRF.Key = cfg.Secret
	} else {
		cfg.CSRF.Key = make([]byte, minSecret)
		_, _ = rand.Read(cfg.CSRF.Key) // never fails, see crypto/rand
	}
	for i, secret := range cfg.PreviousSecrets {
		if enough(fmt.Sprintf("PreviousSecrets[%d]", i), secret) {
			cfg.CSRF.PreviousKeys = append(cfg.CSRF.PreviousKeys, secret)
		}
	}
}
