package config

// The ids of problems. An id is never reused for something else and never
// renumbered: operators silence, search and document them. New ones go at the end.
const (
	idFileUnreadable    = "merlon.E001"
	idNotYAML           = "merlon.E002"
	idUnknownKey        = "merlon.E003"
	idDuplicateKey      = "merlon.E004"
	idUnknownVariable   = "merlon.E005"
	idWrongType         = "merlon.E006"
	idEmpty             = "merlon.E007"
	idOutOfRange        = "merlon.E008"
	idSecretTwice       = "merlon.E009"
	idSecretUnreadable  = "merlon.E010"
	idNotInThisVersion  = "merlon.E011"
	idNotAChoice        = "merlon.E012"
	idKeyRequired       = "merlon.E013"
	idKeyWeak           = "merlon.E014"
	idHostsRequired     = "merlon.E015"
	idTLSRequired       = "merlon.E016"
	idOriginMalformed   = "merlon.E017"
	idOriginClear       = "merlon.E018"
	idHostMalformed     = "merlon.E019"
	idProxyMalformed    = "merlon.E020"
	idProxyEveryone     = "merlon.E021"
	idTLSHalf           = "merlon.E022"
	idListenMalformed   = "merlon.E023"
	idClearOffLoopback  = "merlon.E024"
	idContactMalformed  = "merlon.E025"
	idFieldName         = "merlon.E026"
	idPasswordFloor     = "merlon.E027"
	idIdleAbsolute      = "merlon.E028"
	idRuleName          = "merlon.E029"
	idRuleMatch         = "merlon.E030"
	idRuleBy            = "merlon.E031"
	idDatabaseURL       = "merlon.E032"
	idDotenv            = "merlon.E033"
	idListedTwice       = "merlon.E034"
	idNoEventLog        = "merlon.E035"
	idOnlyInFile        = "merlon.E036"
	idKeyPreviousSame   = "merlon.E037"
	idIssuerMalformed   = "merlon.E040"
	idIssuerClear       = "merlon.E041"
	idAudience          = "merlon.E042"
	idAccessRefresh     = "merlon.E043"
	idRedirectClear     = "merlon.E050"
	idRedirectSame      = "merlon.E051"
	idCertificate       = "merlon.E052"
	idCertificateTime   = "merlon.E053"
	idCertificateHosts  = "merlon.E054"
	idShadowControl     = "merlon.E055"
	idShadowReason      = "merlon.E056"
	idShadowNothing     = "merlon.E057"
	idSameFile          = "merlon.E059"
	idNotTogether       = "merlon.E060" // not of a load, see NotTogether
	idTokenHeader       = "merlon.E061"
	idRedisURL          = "merlon.E065"
	idNodesAlone        = "merlon.E066"
	idLimitsEntry       = "merlon.E070"
	idLimitsTwice       = "merlon.E071"
	idBurst             = "merlon.E072"
	idExemptAddress     = "merlon.E073"
	idExemptReason      = "merlon.E074"
	idCanary            = "merlon.E080"
	idPostgresURL       = "merlon.E085"
	idPostgresParameter = "merlon.E086"
	idOperationsSame    = "merlon.E090"
	idACMEBesideTLS     = "merlon.E110"
	idACMEDomain        = "merlon.E111"
	idACMETerms         = "merlon.E112"
	idACMENodes         = "merlon.E113"
	idACMEEmail         = "merlon.E114"
	idACMEDirectory     = "merlon.E115"
	idACMEHosts         = "merlon.E116"
	idACMENames         = "merlon.E117"
	idTracesEndpoint    = "merlon.E118"
	idNoWait            = "merlon.E120"
	idNoSpool           = "merlon.E121"
	idNoSink            = "merlon.E122"
	idSilenceID         = "merlon.E150"
	idSilenceUntil      = "merlon.E151"

	idCredentialRoute = "merlon.W001"
	idHSTSUnsent      = "merlon.W002"
	idLoopbackListen  = "merlon.W003"
	idIPv6Long        = "merlon.W045"
	idNeverReached    = "merlon.W046"
)

// Doc explains one id.
type Doc struct {
	ID      string
	Title   string // what is wrong
	Explain string // why it is refused or reported
}

// Docs returns every id in order.
func Docs() []Doc {
	return []Doc{
		{idFileUnreadable, "the settings file cannot be read", "Starting with defaults instead of the file would drop its protections. Files over 64 KiB are not read."},
		{idNotYAML, "the settings file is not usable YAML", "One document of mappings, lists and scalars in UTF-8. Anchors and aliases work within limits; tags, merge keys and directives do not."},
		{idUnknownKey, "a key that no setting has", "A misspelt setting would silently leave its default in force."},
		{idDuplicateKey, "a key is written twice", "Which one wins differs between readers of YAML."},
		{idUnknownVariable, "a MERLON_ variable that no setting has", "A misspelt variable would silently leave its default in force. Kubernetes injects such variables for a Service named merlon: set enableServiceLinks: false."},
		{idWrongType, "a value of the wrong type", "Values are not converted: text that looks like a number is quoted, and a duration has a unit."},
		{idEmpty, "a value is missing where one is needed", "Remove the line to get the default. A secret that is set but empty is usually a variable that failed to expand."},
		{idOutOfRange, "a number, length or duration is out of range", "The bounds keep a control from being switched off, or a resource exhausted, by a mistake of scale."},
		{idSecretTwice, "a secret is set in two places", "Which one is in force would depend on an order that nobody remembers while rotating it."},
		{idSecretUnreadable, "the file of a secret cannot be read", "The file named by a _FILE variable, or one under /run/secrets or $CREDENTIALS_DIRECTORY, is missing, unreadable, over 64 KiB or not text."},
		{idNotInThisVersion, "a setting whose feature this version lacks", "Accepting it would promise a protection that is not there."},
		{idNotAChoice, "a value that is not one of the choices", "An unknown environment is not quietly taken for production or development."},
		{idKeyRequired, "secret_key is not set in production", "CSRF tokens, access tokens and device cookies are bound to it; a generated one would end them at each restart and differ between nodes."},
		{idKeyWeak, "a secret key is short or guessable", "Whoever guesses it forges tokens. It is at least 32 bytes, random, and not a placeholder."},
		{idHostsRequired, "hosts is not set in production", "Without it the Host header, chosen by the client, would be believed."},
		{idTLSRequired, "nothing terminates TLS in production", "Set tls, or name in trusted_proxies the proxy that terminates it."},
		{idOriginMalformed, "an entry of origins is not an origin", "An origin is scheme, host and a port that is not the default (RFC 6454). \"null\" and \"*\" are shared by strangers, and so is a wildcard over a public suffix."},
		{idOriginClear, "an http origin in production", "Whoever is on the network path can act as that origin."},
		{idHostMalformed, "an entry of hosts is not a host", "A lower-case name or an address, without scheme, port, path or wildcard."},
		{idProxyMalformed, "an entry of trusted_proxies is not a network", "An address or a prefix in CIDR form without host bits."},
		{idProxyEveryone, "trusted_proxies trusts everyone", "Any client could then choose its own address. IPv4 prefixes are at least /8, IPv6 prefixes at least /7."},
		{idTLSHalf, "tls has a certificate without a key or the reverse", "Both are needed to serve TLS, and both are paths of files."},
		{idListenMalformed, "listen is not a listening address", "host:port with an IP address, localhost or nothing before the port."},
		{idClearOffLoopback, "clear text off loopback", "Development serves plain HTTP on loopback only: credentials would cross the network in clear."},
		{idContactMalformed, "security_contact is not a URI", "RFC 9116 section 2.5.3: a mailto:, https: or tel: URI."},
		{idFieldName, "an entry is not a field name that may be listed", "\"*\" would cover headers nobody thought of, and some names never travel through CORS (Fetch, forbidden headers)."},
		{idPasswordFloor, "argon2id below its floor", "OWASP Password Storage: memory 19456 KiB with time 2, or 47104 KiB with time 1."},
		{idIdleAbsolute, "the idle time-out is above the absolute one", "It could never be reached."},
		{idRuleName, "the name of a rate limit rule", "Names are unique, lower case, and not those of the guards: they appear in answers and events."},
		{idRuleMatch, "the pattern of a rate limit rule", "A method, a space and a path, in the form of net/http.ServeMux. A pattern that matches nothing limits nothing."},
		{idRuleBy, "what a rate limit counts apart", "One of address, account, principal, principal_or_address, session, key, header:<Name>, route."},
		{idDatabaseURL, "database_url is not sqlite:FILE or postgres://…", "A path after sqlite:, without parameters, or the URL of a PostgreSQL database. An in-memory database would lose accounts and revocations."},
		{idDotenv, "the file .env", "It is read in development only, so it cannot choose the environment."},
		{idListedTwice, "an entry is listed twice", "The second one has no effect; one of them was probably meant to be another."},
		{idNoEventLog, "security events go nowhere", "audit.log is empty and audit.stdout is false."},
		{idOnlyInFile, "a section or list of objects in a variable", "Variables hold single values and lists of them."},
		{idKeyPreviousSame, "secret_key_previous holds secret_key", "The rotation has not happened."},
		{idIssuerMalformed, "tokens.issuer is not the URL of an issuer", "Whoever verifies tokens compares it letter by letter (RFC 8414 section 2): an http(s) URL without user, query and fragment, in the spelling that is published."},
		{idIssuerClear, "an http issuer in production", "RFC 8414 section 2: an issuer is an https URL. Keys that are fetched in clear text can be replaced on the way."},
		{idAudience, "tokens.audience is not a name", "Text of printable ASCII without blanks, at most 255 bytes: a URL, or a name that the services agree on."},
		{idAccessRefresh, "access tokens outlive their refresh tokens", "No token outlives its login: the longer life could never be reached."},
		{idRedirectClear, "redirect_listen without tls", "It is the clear-text door beside TLS. Without TLS of its own the service has nothing to redirect to; behind a proxy, redirect there."},
		{idRedirectSame, "redirect_listen takes the port of listen", "One port speaks TLS or clear text, not both."},
		{idCertificate, "the certificate or its key cannot be used", "A file is missing, unreadable or not PEM, the key is another certificate's, or the certificate is not for servers."},
		{idCertificateTime, "the certificate is not valid now", "It has expired or is not valid yet by the clock of this machine; every client would refuse the connection."},
		{idCertificateHosts, "the certificate is for other hosts", "It names none of hosts, so every client of them would refuse the connection. Names are read from subjectAltName only (RFC 9525)."},
		{idShadowControl, "an entry of insecure_shadow.controls is no control that can be in shadow", "A misspelt name would leave the control in force unnoticed; a route that is not declared, and what refuses nothing, has no shadow."},
		{idShadowReason, "insecure_shadow has controls and no reason", "A control that does not refuse is a hole; the reason, logged at start, is what tells it from a mistake."},
		{idShadowNothing, "insecure_shadow has a reason and no controls", "Either the controls were lost, or the reason was forgotten when they were put in force."},
		{idSameFile, "two settings name one file", "The service would write its database or its events over the settings, a key or each other."},
		{idTokenHeader, "cors.request_headers lacks X-CSRF-Token", "With cors.credentials, pages of other origins could log in and then change nothing: every change with a session needs the token."},
		{idRedisURL, "redis_url is not the URL of a server", "redis://, rediss:// (TLS) or unix://, with user and password where the server wants them, and the number of a database. No other parameters: what is not known is not ignored."},
		{idNodesAlone, "rate_limits.expected_nodes without redis_url", "Each node would count for itself and grant every limit in full; nothing would divide it."},
		{idLimitsEntry, "an entry of limits is not a limit", "A number, a slash and a window, such as 100/1m; of two entries with one window the looser one could never refuse."},
		{idLimitsTwice, "limits beside limit and window", "Which of them is in force would be a guess: write one limit and its window, or the list."},
		{idBurst, "burst and algorithm do not fit", "A token bucket has a rate, limit in window, and a burst; a sliding window has no burst, and refills whatever else it is told."},
		{idExemptAddress, "an entry of insecure_exempt.addresses is no network to exempt", "An address or a prefix in CIDR form without host bits. One that covers a large part of the internet would switch the limits off."},
		{idExemptReason, "insecure_exempt has addresses or a reason, not both", "Who is not limited is a hole; the reason, logged at start, is what tells it from a mistake."},
		{idCanary, "an entry of audit.canaries is neither a path nor an account name", "What no request can be compared with would stay silent for ever. A path begins with / and has no query; an account name is in lower case."},
		{idPostgresURL, "database_url is not the URL of a PostgreSQL database", "postgres://user:password@host:port/database. A password that is not percent-encoded moves the parts; what is left out is not taken from the environment."},
		{idPostgresParameter, "a parameter of a PostgreSQL database_url", "A misspelt parameter would be ignored or sent to the server. sslmode is one that says what it does: allow and prefer may be clear text without a word."},
		{idOperationsSame, "operations_listen takes a port that the public reaches", "Metrics tell what a service does and how it fares, and profiles hold its memory; they have a port of their own, or none."},
		{idACMEBesideTLS, "acme beside tls", "Which certificate is served would be a guess: one comes from files, or from an authority."},
		{idACMEDomain, "a name that no authority issues a certificate for", "An authority checks names in DNS: addresses, wildcards and reserved names would fail at every order, and each failure counts against its limits."},
		{idACMETerms, "the terms of the ACME authority are not agreed to", "An account is made in your name (RFC 8555 section 7.3): that is your decision, and not a default."},
		{idACMENodes, "acme with several nodes", "A challenge reaches any of them, and only the one that asked can answer; each would also use up the authority's limits by itself."},
		{idACMEEmail, "acme.email is not an e-mail address", "The authority would refuse the account, or write to nobody."},
		{idACMEDirectory, "acme.directory_url is not an https URL", "RFC 8555 section 6.1: in clear text anybody on the way could be the authority."},
		{idACMEHosts, "a name of acme.domains is not in hosts", "Requests for it would be refused; one of the two is probably misspelt."},
		{idACMENames, "acme has no domains", "Nothing would be obtained: names come from the settings, never from what clients ask for."},
		{idTracesEndpoint, "traces.endpoint is not the URL of a collector", "http or https, without user and query: what is secret there would stand in logs. It is OTLP over HTTP, usually port 4318, and not gRPC."},
		{idNoWait, "audit.wait_for with audit.wait: 0s", "The categories would be dropped like all others when the queue is full, whatever the list promises."},
		{idNoSpool, "audit.spool_for without audit.log", "The spool lies beside the log, whose lock makes it one process's alone; without it events that memory has no room for are lost."},
		{idNoSink, "a filter of events for a sink that is not there", "Events do not go to a file, or to standard output, at all: whoever wrote the filter believes otherwise."},
		{idSilenceID, "check.silence names nothing that can be silenced", "An error or a critical finding is corrected, not silenced; a misspelt id would silence nothing, and leave one to think that it did."},
		{idSilenceUntil, "a silence without an end within a year", "What is borne for ever is forgotten. A silence ends with the day of its until, and is written anew by whoever still means it."},
		{idCredentialRoute, "a route that checks or makes credentials has no rule", "A rule list replaces the built-in one as a whole; without a rule by address or account, guessing on this route meets only the default limit."},
		{idHSTSUnsent, "headers.hsts_max_age without TLS", "HSTS is sent over TLS only (RFC 6797 section 7.2), and nothing terminates it here."},
		{idLoopbackListen, "listening on loopback without trusted_proxies", "Every client then has the address of the proxy in front: limits by address count them as one."},
		{idIPv6Long, "IPv6 addresses are counted by more than 64 bits", "Every customer of a network has a /64 or more, so that each client has as many quotas as it likes."},
		{idNeverReached, "a rate limit that the address guard never lets be reached", "rate_limits.address refuses each address before the rule could: the rule limits nothing."},
	}
}

// newProblem places f. The letter of the id is its severity.
func newProblem(where string, f fault) Problem {
	severity := SeverityError
	if f.id[len("merlon.")] == 'W' {
		severity = SeverityFinding
	}
	return Problem{ID: f.id, Severity: severity, Where: where, Message: f.message, Fix: f.fix}
}
