package findings

import (
	"github.com/merlonhq/merlon/server/internal/config"
)

// row is one finding: what it is about, what it means, and how it is found.
type row struct {
	id       string
	severity Severity
	about    []string // settings; the row is passed over while one has a problem already
	in       func(environment string) bool
	title    string // empty where package config reports and explains it
	why      string
	find     func(*subject) []hit // nil where package config reports it
}

// subject is what is judged.
type subject struct {
	Input
	set config.Settings
}

// hit is one place where something was found.
type hit struct{ where, message, fix string }

// at makes a hit at a setting.
func (s *subject) at(setting, message, fix string) []hit {
	return []hit{{s.Places.Where(setting), setting + ": " + message, fix}}
}

func inProduction(environment string) bool { return environment == config.Production }
func inDevelopment(environment string) bool {
	return environment == config.Development
}

// rows are all findings. An id is never reused and never renumbered. New ones go at
// the end, with the next number.
func rows() []row {
	return []row{
		{"merlon.E060", Critical, nil, nil,
			"settings that do not work together",
			"Each is good, and a part of the service refuses what they make: nothing could be served.", nil},
		{"merlon.W001", High, []string{"rate_limits.rules"}, nil, "", "", nil},
		{"merlon.W002", Medium, []string{"headers.hsts_max_age"}, nil, "", "", nil},
		{"merlon.W003", Medium, []string{"listen", "trusted_proxies"}, nil, "", "", nil},
		{"merlon.W004", Low, []string{"password.min_length"}, inProduction,
			"passwords under 15 characters are the only factor",
			"NIST SP 800-63B-4 section 3.1.1.2 asks for 15 where a password is the only factor; 8 is enough beside a second one.", shortPasswords},
		{"merlon.W005", Low, []string{"password.algorithm"}, inProduction,
			"passwords are hashed with bcrypt",
			"It takes no memory to speak of, which makes guessing on graphics cards cheap, and no password over 72 bytes.", bcryptChosen},
		{"merlon.W006", Medium, []string{"password.algorithm", "password.bcrypt_cost"}, inProduction,
			"the cost of bcrypt is below 12",
			"Each step less halves what a guess costs whoever has the database.", bcryptCheap},
		{"merlon.W007", Medium, []string{"headers.hsts_max_age"}, inProduction,
			"HSTS for less than a year",
			"A browser that comes back after it has run out can be led to clear text once; preload lists ask for a year.", shortHSTS},
		{"merlon.W008", Medium, []string{"origins", "cors.credentials"}, inProduction,
			"every subdomain may act with a user's cookies",
			"A forgotten or hostile page on any name below the domain is then as trusted as the application.", wildcardWithCredentials},
		{"merlon.W009", Medium, []string{"origins"}, inProduction,
			"an origin that means another machine to everybody",
			"localhost and private addresses name whatever runs on the visitor's own machine or network.", localOrigins},
		{"merlon.W010", Medium, []string{"trusted_proxies"}, inProduction,
			"a wide network of trusted proxies",
			"Every machine in it may claim any client address, and passes the limits by address.", wideProxies},
		{"merlon.W011", Medium, []string{"rate_limits.default.limit", "rate_limits.default.window"}, inProduction,
			"the default limit is over ten times the built-in one",
			"What has no rule of its own is then hardly limited.", looseDefault},
		{"merlon.W012", Medium, []string{"rate_limits.address.limit", "rate_limits.address.window"}, inProduction,
			"the guard by address is over ten times the built-in one",
			"It is what stands in front of authentication.", looseAddress},
		{"merlon.W013", Medium, []string{"rate_limits.bad_credentials.limit", "rate_limits.bad_credentials.window"}, inProduction,
			"the quota of refused credentials is over ten times the built-in one",
			"Keys and tokens are looked up for whoever guesses them.", looseBadCredentials},
		{"merlon.W014", Medium, []string{"rate_limits.default.by", "rate_limits.rules"}, inProduction,
			"a limit counts by a header that the client chooses",
			"A new value is a new count: the limit binds only who is honest.", countedByHeader},
		{"merlon.W015", Medium, []string{"rate_limits.default.by", "rate_limits.rules"}, inProduction,
			"a limit counts all clients together",
			"One client can use it up for everybody.", countedTogether},
		{"merlon.W016", Medium, []string{"rate_limits.rules"}, inProduction,
			"more than 5 guesses in 5 minutes from one address",
			"Passwords are guessed online at the rate that the tightest rule by address allows.", looseByAddress},
		{"merlon.W017", Medium, []string{"rate_limits.rules"}, inProduction,
			"no rule by address where passwords are checked",
			"One machine may try the commonest passwords on every account.", notByAddress},
		{"merlon.W018", Medium, []string{"rate_limits.rules"}, inProduction,
			"more than 100 guesses in an hour at one account",
			"Many machines may guess at one account; NIST SP 800-63B-4 section 3.2.2 allows no more than 100 failures.", notByAccount},
		{"merlon.W019", Low, []string{"rate_limits.rules"}, inProduction,
			"over 100 registrations in a minute from one address",
			"Accounts can be made in bulk, and names and addresses that are taken be found out.", looseRegistration},
		{"merlon.W020", Medium, []string{"rate_limits.on_store_error"}, inProduction,
			"limits end when their store is away",
			"Whoever can make the store fail, by load for one, guesses without a limit.", allowOnError},
		{"merlon.W021", Low, []string{"sessions.idle_timeout"}, inProduction,
			"sessions stay open for more than 30 minutes without a request",
			"A screen that was left, or a cookie that was copied, stays good that long.", longIdle},
		{"merlon.W022", Medium, []string{"sessions.absolute_timeout"}, inProduction,
			"sessions live for more than 24 hours",
			"NIST SP 800-63B-4 section 2.2.3 asks for a new login every 24 hours; a stolen cookie is good until then.", longSessions},
		{"merlon.W023", Low, []string{"audit.log"}, inProduction,
			"events are written to standard output only",
			"Whether they survive is up to what collects them; only the database keeps them for 90 days.", noEventFile},
		{"merlon.W024", Low, []string{"audit.max_size_mib", "audit.keep"}, inProduction,
			"less than 100 MiB of events are kept",
			"A flood of refusals can push what came before it out of the files.", smallEventFiles},
		{"merlon.W025", Low, []string{"secret_key", "secret_key_previous", "database_url"}, inProduction,
			"a secret is written in the settings file",
			"The file is copied, shown and put under version control where a secret must not go.", secretInFile},
		{"merlon.W026", Low, []string{"secret_key_previous"}, inProduction,
			"a former secret key is still accepted",
			"Rotation ends when the former key is gone: until then whoever has it can use it.", rotationUnfinished},
		{"merlon.W027", Low, []string{"hosts"}, inProduction,
			"a host that is an address or this machine",
			"The Host check keeps DNS rebinding out because an attacker's page cannot have the name; these it can have.", addressHosts},
		{"merlon.W028", Low, []string{"security_contact"}, inProduction,
			"nobody to report a vulnerability to",
			"Who finds a hole looks at /.well-known/security.txt (RFC 9116), which is 404 without it.", noContact},
		{"merlon.W029", High, []string{"environment", "listen"}, inDevelopment,
			"development can be reached from other machines",
			"Development accepts loopback host names, generates its secret key and trusts the origins of everybody's own machine.", developmentExposed},
		{"merlon.W030", Critical, nil, inProduction,
			"everybody may change the settings file",
			"Any account on this machine can switch the controls off.", settingsWritable},
		{"merlon.W031", High, []string{"secret_key", "secret_key_previous", "database_url", "tls.key"}, inProduction,
			"everybody may read a secret",
			"Any account on this machine can forge tokens, or be this service to its users.", secretsReadable},
		{"merlon.W032", Medium, []string{"database_url", "audit.log"}, inProduction,
			"others may read the database or the event log",
			"They hold addresses, names and password hashes; the service makes them for their owner alone.", dataReadable},
		{"merlon.W033", High, []string{"database_url", "audit.log"}, inProduction,
			"everybody may write where the database or the event log is",
			"Any account on this machine can put another file in their place.", dataReplaceable},
		{"merlon.W034", Medium, []string{"rate_limits.rules"}, inProduction,
			"a rule by account where no password is checked",
			"An account is known on the routes that check passwords only: the rule counts nothing, and takes the place of the default limit.", accountUnknown},
		{"merlon.W035", Medium, []string{"tls.cert"}, inProduction,
			"the certificate ends soon",
			"Its renewal seems not to work: less than 30 days are left or, of a short one, less than a third of its life.", certificateEnds},
		{"merlon.W036", Medium, []string{"tls.cert", "hosts"}, inProduction,
			"the certificate is not for one of the hosts",
			"Clients that come by this name refuse it.", certificateForOthers},
		{"merlon.W037", High, []string{"tls.cert"}, inProduction,
			"the certificate is weak",
			"RSA keys under 2048 bits and signatures with SHA-1 or MD5 can be forged.", certificateWeak},
		{"merlon.W038", High, []string{"insecure_shadow.controls", "insecure_shadow.reason"}, inProduction,
			"a control in shadow",
			"It records what it would refuse and lets it pass. It is meant for the time in which a policy is tried out.", controlsInShadow},
		{"merlon.W039", Critical, []string{"insecure_shadow.controls", "insecure_shadow.reason"}, inProduction,
			"authentication or authorization in shadow",
			"Refused credentials go on as nobody, or callers do what they lack the scope or the role for.", accessInShadow},
		{"merlon.W040", Medium, []string{"cors.debug"}, inProduction,
			"refused preflights tell why",
			"Whoever asks learns which origins, methods and headers are allowed.", corsDebugging},
		{"merlon.W041", Medium, []string{"cors.insecure_private_network"}, inProduction,
			"sites of the internet may reach a private network",
			"A page of a listed origin uses its visitor's browser as a way into the network that this service is in.", privateNetworkOpen},
		{"merlon.W042", Medium, []string{"tokens.algorithm"}, inProduction,
			"whoever verifies access tokens can sign them",
			"HS256 signs with the key that verifies: each service that is given it can make tokens for everybody.", symmetricTokens},
		{"merlon.W043", Low, []string{"tokens.access_ttl"}, inProduction,
			"access tokens live for more than half an hour",
			"Services that verify by the published keys alone take a token until it is over, whatever was revoked.", longAccessTokens},
		{"merlon.W044", Low, []string{"tokens.refresh_ttl"}, inProduction,
			"a login can be renewed for more than thirty days",
			"NIST SP 800-63B-4 section 2.1.3 asks for a new authentication after thirty days at most.", longRefresh},
		{"merlon.W045", Medium, []string{"rate_limits.ipv6_prefix"}, nil, "", "", nil},
		{"merlon.W046", Medium, []string{"rate_limits.rules"}, nil, "", "", nil},
		{"merlon.W070", Medium, []string{"operations_listen"}, inProduction,
			"metrics can be reached from other machines",
			"Whoever reaches the port learns what the service does, how it fares and which controls refuse. pprof is not served there.", operationsExposed},
		{"merlon.W071", Medium, []string{"connections.max", "connections.per_address"}, inProduction,
			"one address may hold half of all connections",
			"Two machines that hold connections open then keep everybody else out.", fewHoldAll},
		{"merlon.W080", High, []string{"acme.domains", "acme.storage", "acme.directory_url"}, inProduction,
			"a certificate of the ACME authority is not renewed",
			"Less than a sixth of its life is left, and renewals begin at a third: they fail. When it has ended, clients are refused.", acmeLate},
		{"merlon.W081", High, []string{"acme.directory_url"}, inProduction,
			"an ACME authority for tests",
			"No client trusts what it issues. It is for trying the set-up without meeting the limits of the real one.", acmeStaging},
		{"merlon.W082", Low, []string{"traces.endpoint"}, inProduction,
			"traces cross a network in clear text",
			"Whoever is on the way reads which routes are called, what is refused and which statements run, and a token of OTEL_EXPORTER_OTLP_HEADERS.", tracesInClear},
	}
}
