package config

import (
	"slices"
	"strings"
)

// The floor of argon2id (OWASP Password Storage): the memory in KiB with time 2
// and more, and with time 1.
const (
	argonMemoryFloor = 19456
	argonMemoryOnce  = 47104
)

// notSet is where a setting is that is nowhere.
const notSet = "settings"

// where is the place that a setting came from.
func (l *loader) where(name string) string {
	if g := l.given[name]; len(g) > 0 {
		return g[len(g)-1].value.where
	}
	return notSet
}

// isGiven reports whether one of the settings was written somewhere.
func (l *loader) isGiven(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return len(l.given[n]) > 0 })
}

// fine reports whether none of the settings has a problem already: what depends
// on a broken one would only repeat it.
func (l *loader) fine(names ...string) bool {
	return !slices.ContainsFunc(names, func(n string) bool { return l.bad[n] })
}

// check finds what is missing and what contradicts.
func (l *loader) check(s *Settings) {
	l.checkKeys(s)
	l.checkTransport(s)
	l.checkACME(s)
	l.checkRedirect(s)
	l.checkOperations(s)
	l.checkOrigins(s)
	if s.Environment == Production && len(s.Hosts) == 0 && l.fine("hosts") {
		l.report(l.where("hosts"), fault{idHostsRequired, "hosts: production needs the names of this service", "write hosts: [api.example.com]"})
	}
	l.checkPasswords(s)
	l.checkShadow(s)
	if s.Sessions.IdleTimeout > s.Sessions.AbsoluteTimeout && l.fine("sessions.idle_timeout", "sessions.absolute_timeout") {
		where := l.where("sessions.idle_timeout")
		if where == notSet {
			where = l.where("sessions.absolute_timeout")
		}
		l.report(where, fault{idIdleAbsolute, "sessions.idle_timeout (" + formatDuration(s.Sessions.IdleTimeout) + ") is above sessions.absolute_timeout (" +
			formatDuration(s.Sessions.AbsoluteTimeout) + ")", "lower the one or raise the other"})
	}
	l.checkTokens(s)
	if s.Audit.Log == "" && !s.Audit.Stdout && l.fine("audit.log", "audit.stdout") {
		l.report(l.where("audit.log"), fault{idNoEventLog, "audit: security events go nowhere", "write audit.log, or audit.stdout: true"})
	}
	l.checkSinks(s)
	l.checkFiles(s)
	l.checkTokenHeader(s)
	l.checkHeadersTwice("rate_limits.default.by", s.RateLimits.Default.By)
	for _, r := range s.RateLimits.Rules {
		l.checkHeadersTwice("rate_limits.rules", r.By)
	}
	if s.RateLimits.ExpectedNodes > 1 && !s.RedisURL.IsSet() && l.fine("redis_url", "rate_limits.expected_nodes") {
		l.report(l.where("rate_limits.expected_nodes"), fault{idNodesAlone, "rate_limits.expected_nodes: the nodes share nothing without redis_url",
			"set redis_url, or remove it"})
	}
	l.checkLimits(s)
	if l.fine("rate_limits.rules") {
		for _, r := range unguarded(s.RateLimits.Rules) {
			l.report(l.where("rate_limits.rules"), fault{idCredentialRoute, "rate_limits.rules: no rule limits " + r + " by address or account",
				"add a rule for it; the list replaces the built-in one"})
		}
	}
}

func (l *loader) checkKeys(s *Settings) {
	if !s.SecretKey.IsSet() && l.fine("secret_key") {
		if s.Environment == Development {
			s.SecretKey, s.SecretKeyGenerated = GenerateKey(), true
		} else {
			l.report(notSet, fault{idKeyRequired, "secret_key: production needs one",
				"set MERLON_SECRET_KEY_FILE to a file with the output of merlon secrets generate"})
		}
	}
	if s.SecretKey.IsSet() && slices.ContainsFunc(s.SecretKeyPrevious, s.SecretKey.Equal) {
		l.report(l.where("secret_key_previous"), fault{idKeyPreviousSame, "secret_key_previous holds secret_key", "write a new secret_key, or remove it from the previous ones"})
	}
}

// checkTransport is about who terminates TLS.
func (l *loader) checkTransport(s *Settings) {
	if (s.TLS.Cert == "") != (s.TLS.Key == "") && l.fine("tls.cert", "tls.key") {
		missing, other := "tls.key", "tls.cert"
		if s.TLS.Cert == "" {
			missing, other = other, missing
		}
		l.report(l.where(other), fault{idTLSHalf, other + " is set without " + missing, "set both or none"})
	}
	served := s.TLS.Cert != "" || s.TLS.Key != "" || len(s.ACME.Domains) > 0
	if !l.fine("tls.cert", "tls.key", "acme.domains", "trusted_proxies") {
		return
	}
	terminated := served || len(s.TrustedProxies) > 0
	if s.Environment == Production {
		switch {
		case !terminated:
			l.report(notSet, fault{idTLSRequired, "tls: nothing terminates TLS in production",
				"set tls.cert and tls.key, or acme.domains, or name the proxy that does in trusted_proxies"})
		case len(s.TrustedProxies) == 0 && onLoopback(s.Listen):
			l.report(l.where("listen"), fault{idLoopbackListen, "listen: only a proxy on this machine can reach it, and trusted_proxies names none",
				"write trusted_proxies: [127.0.0.1], or listen on a public address"})
		}
		return
	}
	if !terminated && !onLoopback(s.Listen) && l.fine("listen") {
		l.report(l.where("listen"), fault{idClearOffLoopback, "listen: clear text would be served off loopback",
			"listen on 127.0.0.1, or set tls or trusted_proxies"})
	}
	if !terminated && l.isGiven("headers.hsts_max_age") && l.fine("headers.hsts_max_age") {
		l.report(l.where("headers.hsts_max_age"), fault{idHSTSUnsent, "headers.hsts_max_age: HSTS is sent over TLS only, and nothing terminates it",
			"set tls or trusted_proxies, or remove it"})
	}
}

// checkRedirect is about the clear-text listener beside TLS.
func (l *loader) checkRedirect(s *Settings) {
	if s.RedirectListen == "" || !l.fine("redirect_listen") {
		return
	}
	if s.TLS.Cert == "" && s.TLS.Key == "" && len(s.ACME.Domains) == 0 && l.fine("tls.cert", "tls.key", "acme.domains") {
		l.report(l.where("redirect_listen"), fault{idRedirectClear, "redirect_listen: there is no tls to redirect to", "set tls.cert and tls.key, or acme.domains, or remove it and redirect at the proxy"})
	}
	if samePort(s.RedirectListen, s.Listen) && l.fine("listen") {
		l.report(l.where("redirect_listen"), fault{idRedirectSame, "redirect_listen (" + show(s.RedirectListen) + ") takes the port of listen (" + show(s.Listen) + ")",
			`write another port, such as ":80"`})
	}
}

// checkOperations keeps the operator's listener apart from those of the public.
func (l *loader) checkOperations(s *Settings) {
	for _, public := range []struct{ name, address string }{{"listen", s.Listen}, {"redirect_listen", s.RedirectListen}} {
		if samePort(s.OperationsListen, public.address) && l.fine("operations_listen", public.name) {
			l.report(l.where("operations_listen"), fault{idOperationsSame, "operations_listen (" + show(s.OperationsListen) + ") takes the port of " +
				public.name + " (" + show(public.address) + ")", `write another port, such as "127.0.0.1:9090"`})
		}
	}
}

// checkTokenHeader finds that pages of other origins could not send what every
// change with a session needs.
func (l *loader) checkTokenHeader(s *Settings) {
	sends := func(name string) bool { return strings.EqualFold(name, "X-CSRF-Token") }
	if s.CORS.Credentials && !slices.ContainsFunc(s.CORS.RequestHeaders, sends) && l.fine("cors.credentials", "cors.request_headers") {
		l.report(l.where("cors.request_headers"), fault{idTokenHeader, "cors.request_headers lacks X-CSRF-Token, which cookies are of no use without",
			"add it, or write cors: {credentials: false}"})
	}
}

func (l *loader) checkOrigins(s *Settings) {
	if s.Environment != Production {
		return
	}
	for _, o := range s.Origins {
		if strings.HasPrefix(o, "http://") {
			l.report(l.where("origins"), fault{idOriginClear, "origins: " + show(o) + " is plain HTTP in production", "serve it over https, or remove it"})
		}
	}
}

func (l *loader) checkPasswords(s *Settings) {
	p := s.Password
	names := []string{"password.algorithm", "password.memory_kib", "password.time"}
	if p.Algorithm == "argon2id" && p.Time < 2 && p.MemoryKiB < argonMemoryOnce && l.fine(names...) {
		l.report(l.where("password.time"), fault{idPasswordFloor, "password: argon2id with time 1 needs memory_kib 47104 or more", "raise password.time to 2, or the memory"})
	}
}
