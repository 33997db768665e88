package config

// meanings says in one sentence what each setting is for; "rule" and a name are
// the members of a rule. A test holds it to the table.
func meanings() map[string]string {
	return map[string]string{
		"environment":         "production refuses what is weak; development relaxes it for this machine.",
		"listen":              "The address and port to serve, host:port; in development 127.0.0.1:8080.",
		"database_url":        "The database, sqlite:FILE.",
		"secret_key":          "At least 32 random bytes as text, which sign CSRF tokens and device cookies; required in production.",
		"secret_key_previous": "Former secret keys, accepted for reading while a new one takes over.",
		"origins":             "The web origins whose pages may call this service, for CORS and CSRF alike; https only in production.",
		"hosts":               "The host names that this service answers to; required in production.",
		"trusted_proxies":     "The proxies whose forwarding headers are believed.",

		"cors.credentials":                      "Whether pages of the origins may send cookies.",
		"cors.methods":                          "The methods that pages of the origins may use.",
		"cors.request_headers":                  "The request headers that pages of the origins may set.",
		"cors.exposed_headers":                  "The response headers that pages of the origins may read.",
		"tokens.algorithm":                      "What access tokens are signed with.",
		"tokens.access_ttl":                     "How long an access token lives.",
		"tokens.refresh_ttl":                    "How long after a login its tokens can be renewed; not below access_ttl.",
		"tokens.issuer":                         "The iss of access tokens; empty: https:// and the first host.",
		"tokens.audience":                       "The aud of access tokens; empty: the issuer.",
		"redis_url":                             "The Redis or Valkey in which the nodes share their rate limits, redis:// or rediss://; empty: each has its own, in memory.",
		"rate_limits.default.limits":            "Several limits at once, in place of limit and window.",
		"rate_limits.default.algorithm":         "sliding_window never admits more in any window; token_bucket admits a steady rate and a burst.",
		"rate_limits.default.burst":             "How many a token bucket admits at once.",
		"rate_limits.expected_nodes":            "How many nodes share the limits: while the store is away each grants its share.",
		"rate_limits.store_timeout":             "How long a call to the store of the counts may take.",
		"rate_limits.ipv4_prefix":               "The length of the IPv4 prefix that counts as one address.",
		"rate_limits.ipv6_prefix":               "The length of the IPv6 prefix that counts as one address.",
		"rate_limits.insecure_exempt.addresses": "Addresses that are not limited at all.",
		"rate_limits.insecure_exempt.reason":    "Why they are not.",
		"rule limits":                           "Several limits at once, in place of limit and window.",
		"rule algorithm":                        "sliding_window, or token_bucket.",
		"rule burst":                            "How many a token bucket admits at once.",
		"cors.debug":                            "Whether refused preflights say why to whoever asks; for the time in which CORS is set up.",
		"cors.insecure_private_network":         "Why pages of origins on the internet may reach this service in a private network; empty: they may not.",
		"redirect_listen":                       "A clear-text port beside TLS, which redirects page navigations to https and refuses all else.",
		"redirect_port":                         "The port of https that clients see, where they are redirected to.",
		"operations_listen":                     "A port of its own for metrics and, on loopback, pprof, such as 127.0.0.1:9090; empty: none.",
		"connections.max":                       "How many connections there may be at once; more are closed as they come.",
		"connections.per_address":               "How many of them one address may hold; trusted proxies are not counted.",
		"insecure_shadow.controls":              "Controls that record what they would refuse and let it pass.",
		"insecure_shadow.reason":                "Why they are in shadow.",
		"cors.max_age":                          "How long a browser keeps the answer to a preflight; 0s means not at all.",

		"tls.cert": "The PEM file of the certificate and its chain; empty to serve clear text behind a trusted proxy.",
		"tls.key":  "The PEM file of the certificate's private key.",

		"security_contact": "Where to report a vulnerability: the mailto:, https: or tel: URI in /.well-known/security.txt.",

		"password.algorithm":   "How new passwords are hashed.",
		"password.memory_kib":  "The memory of one argon2id hash in KiB.",
		"password.time":        "The passes of one argon2id hash; 1 needs memory_kib 47104 or more.",
		"password.threads":     "The threads of one argon2id hash.",
		"password.bcrypt_cost": "The cost of a bcrypt hash, a power of two.",
		"password.min_length":  "The least number of code points of a new password.",

		"sessions.idle_timeout":     "A session ends after this time without a request; not above absolute_timeout.",
		"sessions.absolute_timeout": "A session ends after this time whatever happens.",

		"headers.profile":      "The set of security headers: api for answers that are data, web for pages.",
		"headers.hsts_max_age": "How long browsers remember to use https only.",

		"rate_limits.default.limit":          "The requests in each window, on routes without a rule of their own.",
		"rate_limits.default.window":         "The length of its window.",
		"rate_limits.default.by":             "What it counts apart: address, principal, principal_or_address, session, key, route, header:<Name>.",
		"rate_limits.address.limit":          "The requests of one address in each window over all routes, before authentication.",
		"rate_limits.address.window":         "The length of its window.",
		"rate_limits.bad_credentials.limit":  "The refused keys, tokens and cookies of one address in each window.",
		"rate_limits.bad_credentials.window": "The length of its window.",
		"rate_limits.on_store_error":         "What a request meets while the store of the counts is away.",
		"rate_limits.rules":                  "The rules of single routes; a list replaces the built-in one as a whole.",

		"audit.log":          "The file of security events; empty only with audit.stdout.",
		"audit.stdout":       "Whether security events are written to standard output too.",
		"audit.max_size_mib": "The size in MiB at which the file is rotated.",
		"audit.keep":         "How many rotated files are kept.",

		"rule name":   "Its name in answers and events: up to 24 of a-z 0-9 - _, beginning with a letter.",
		"rule match":  `The routes that it counts, as "POST /api/v1/auth/login".`,
		"rule limit":  "The requests in each window.",
		"rule window": "The length of its window.",
		"rule by":     "What it counts apart: address, account, principal, principal_or_address, session, key, route, header:<Name>.",
		"rule count":  "Whether every request counts, or failed password checks only.",
	}
}
