package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
)

type input struct {
	yaml  string
	env   []string
	files files
}

func (in input) load() []config.Problem {
	_, problems := loadFiles(in.files, in.yaml, in.env...)
	return problems
}

func y(yaml string, env ...string) input { return input{yaml: production(yaml), env: env} }
func dev(yaml string, env ...string) input {
	return input{yaml: "environment: development\n" + yaml, env: env}
}
func raw(yaml string, env ...string) input       { return input{yaml: yaml, env: env} }
func (in input) with(name, content string) input { in.files = files{name: []byte(content)}; return in }
func (in input) without(name string) input       { in.files = files{name: nil}; return in }

const rule = "rate_limits:\n  rules:\n" +
	"  - {name: all, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password, POST /api/v1/users], limit: 5, window: 1m, by: [address]}\n"

const silence = "check:\n  silence:\n    - {id: merlon.W022, reason: the kiosk stays logged in, until: 2027-01-31}\n"
const acme = "hosts: [a.example.com]\nacme:\n  domains: [a.example.com]\n  email: ops@example.com\n  terms_agreed: true\n"

// For each id an input that has it and no other, and the nearest one that is fine.
func TestEachIDHasATriggerAndACleanNeighbour(t *testing.T) {
	rows := map[string]struct{ bad, good input }{
		"E001": {y("").without("merlon.yaml"), y("")},
		"E002": {raw("listen: [\"x\""), y("listen: \":1\"")},
		"E003": {y("listem: \":1\""), y("listen: \":1\"")},
		"E004": {y("audit: {keep: 3, keep: 3}"), y("audit: {keep: 3}")},
		"E005": {y("", "MERLON_LISTEM=:1"), y("", "MERLON_LISTEN=:1")},
		"E006": {y("audit: {keep: \"3\"}"), y("audit: {keep: 3}")},
		"E007": {y("audit: {keep: }"), y("audit: {}")},
		"E008": {y("audit: {keep: 1001}"), y("audit: {keep: 1000}")},
		"E009": {y("", "MERLON_SECRET_KEY="+testKey), raw("hosts: [a.example]\ntrusted_proxies: [10.0.0.1]", "MERLON_SECRET_KEY="+testKey)},
		"E010": {y("secret_key: ", "MERLON_SECRET_KEY_FILE=/s"), y("secret_key: ", "MERLON_SECRET_KEY_FILE=/s").with("/s", testKey)},
		"E011": {y("upstreams: [{name: blog}]"), y("")},
		"E012": {y("environment: staging"), y("environment: production")},
		"E013": {y("secret_key: "), dev("secret_key: ")},
		"E014": {y("secret_key: " + testKey[:31]), y("secret_key: " + testKey[:32])},
		"E015": {y("hosts: []"), dev("hosts: []")},
		"E016": {y("trusted_proxies: []"), y("trusted_proxies: []\ntls: {cert: c.pem, key: k.pem}")},
		"E017": {y("origins: [\"https://*.co.uk\"]"), y("origins: [\"https://*.example.co.uk\"]")},
		"E018": {y("origins: [\"http://app.example.com\"]"), dev("origins: [\"http://app.example.com\"]")},
		"E019": {y("hosts: [\"https://api.example.com\"]"), y("hosts: [api.example.com]")},
		"E020": {y("trusted_proxies: [10.0.0.1/24]"), y("trusted_proxies: [10.0.0.0/24]")},
		"E021": {y("trusted_proxies: [0.0.0.0/1, 128.0.0.0/8]"), y("trusted_proxies: [10.0.0.0/8]")},
		"E022": {y("tls: {cert: c.pem}"), y("tls: {cert: c.pem, key: k.pem}")},
		"E023": {y("listen: \"8443\""), y("listen: \":8443\"")},
		"E024": {dev("listen: \"0.0.0.0:8080\""), dev("listen: \"127.0.0.2:8080\"")},
		"E025": {y("security_contact: security@example.com"), y("security_contact: mailto:security@example.com")},
		"E026": {y("cors: {request_headers: [\"*\"]}"), y("cors: {request_headers: [X-CSRF-Token]}")},
		"E027": {y("password: {time: 1, memory_kib: 47103}"), y("password: {time: 1, memory_kib: 47104}")},
		"E028": {y("sessions: {idle_timeout: 13h}"), y("sessions: {idle_timeout: 12h}")},
		"E029": {y(strings.Replace(rule, "name: all", "name: address", 1)), y(rule)},
		"E030": {y(strings.Replace(rule, "POST /api/v1/users]", "post /api/v1/users]", 1)), y(rule)},
		"E031": {y(strings.Replace(rule, "[address]", "[adress]", 1)), y(rule)},
		"E032": {y("database_url: \"sqlite::memory:\""), y("database_url: sqlite:memory.db")},
		"E033": {dev("").with(".env", "MERLON_LISTEN='"), dev("").with(".env", "MERLON_LISTEN='127.0.0.1:1'")},
		"E034": {y("hosts: [a.example, a.example]"), y("hosts: [a.example, b.example]")},
		"E035": {y("audit: {log: \"\"}"), y("audit: {log: \"\", stdout: true}")},
		"E036": {y("", "MERLON_RATE_LIMITS__RULES=[]"), y("", "MERLON_RATE_LIMITS__DEFAULT__LIMIT=9")},
		"E037": {y("secret_key_previous: [" + testKey + "]"), y("secret_key_previous: [" + testKey + "x]")},
		"E050": {y("redirect_listen: \":80\""), y("redirect_listen: \":80\"\ntls: {cert: c, key: k}")},
		"E090": {y("operations_listen: \"127.0.0.1:8443\""), y("operations_listen: \"127.0.0.1:9090\"")},
		"E051": {y("redirect_listen: \"127.0.0.1:8443\"\ntls: {cert: c, key: k}"), y("redirect_listen: \"127.0.0.1:8080\"\ntls: {cert: c, key: k}")},
		"E085": {y("database_url: postgres://h/d"), y("database_url: postgres://u@h/d")},
		"E086": {y("database_url: postgres://u@h/d?sslmode=prefer"), y("database_url: postgres://u@h/d?sslmode=require")},
		"E055": {y("insecure_shadow: {controls: [crsf], reason: why}"), y("insecure_shadow: {controls: [csrf], reason: why}")},
		"E056": {y("insecure_shadow: {controls: [csrf]}"), y("insecure_shadow: {controls: []}")},
		"E057": {y("insecure_shadow: {reason: why}"), y("insecure_shadow: {reason: }")},
		"E059": {y("audit: {log: ./merlon.yaml}"), y("audit: {log: ./merlon.log}")},
		"E061": {y("cors: {request_headers: [X-Any]}"), y("cors: {request_headers: [X-Any], credentials: false}")},
		"E040": {y("tokens: {issuer: api.example.com}"), y("tokens: {issuer: \"https://api.example.com\"}")},
		"E041": {y("tokens: {issuer: \"http://api.example.com\"}"), dev("tokens: {issuer: \"http://api.example.com\"}")},
		"E042": {y("tokens: {audience: two words}"), y("tokens: {audience: two-words}")},
		"E043": {y("tokens: {access_ttl: 20m, refresh_ttl: 19m}"), y("tokens: {access_ttl: 20m, refresh_ttl: 20m}")},
		"E065": {y("redis_url: \"redis://h?x=y\""), y("redis_url: redis://h")},
		"E066": {y("rate_limits: {expected_nodes: 2}"), y("redis_url: redis://h\nrate_limits: {expected_nodes: 2}")},
		"E070": {y("rate_limits: {default: {limits: [\"100\"]}}"), y("rate_limits: {default: {limits: [100/1m]}}")},
		"E071": {y("rate_limits: {default: {limits: [100/1m], limit: 5}}"), y("rate_limits: {default: {limits: [100/1m]}}")},
		"E072": {y("rate_limits: {default: {burst: 5}}"), y("rate_limits: {default: {burst: 5, algorithm: token_bucket}}")},
		"E073": {y("rate_limits: {insecure_exempt: {addresses: [0.0.0.0/0], reason: why}}"), y("rate_limits: {insecure_exempt: {addresses: [10.0.0.0/8], reason: why}}")},
		"E074": {y("rate_limits: {insecure_exempt: {addresses: [10.0.0.0/8]}}"), y("rate_limits: {insecure_exempt: {addresses: [], reason: }}")},
		"E120": {y("audit: {wait: 0s, wait_for: [account]}"), y("audit: {wait: 0s}")},
		"E121": {y("audit: {log: \"\", stdout: true, spool_for: [account]}"), y("audit: {log: \"\", stdout: true, spool_for: []}")},
		"E122": {y("audit: {stdout_only: {severity: medium}}"), y("audit: {stdout: true, stdout_only: {severity: medium}}")},
		"E080": {y("audit: {canaries: [Root]}"), y("audit: {canaries: [root, /.env]}")},
		"E110": {y(acme + "tls: {cert: c, key: k}"), y(acme)},
		"E111": {y(strings.ReplaceAll(acme, "[a.example.com]", "[a.example]")), y(acme)},
		"E112": {y(strings.Replace(acme, "true", "false", 1)), y(acme)},
		"E113": {y(acme + "redis_url: redis://h\nrate_limits: {expected_nodes: 2}"), y(acme + "redis_url: redis://h\nrate_limits: {expected_nodes: 1}")},
		"E114": {y(strings.Replace(acme, "ops@example.com", "Ops <ops@example.com>", 1)), y(acme)},
		"E115": {y(acme + "  directory_url: http://ca.example/dir\n"), y(acme + "  directory_url: https://ca.example/dir\n")},
		"E116": {y(strings.Replace(acme, "[a.example.com]", "[b.example.com]", 1)), y(acme)},
		"E117": {y("acme: {email: ops@example.com}"), y("acme: {email: }")},
		"E118": {y("traces: {endpoint: \"collector:4318\"}"), y("traces: {endpoint: \"http://collector:4318\"}")},
		"E150": {y(strings.Replace(silence, "W022", "E003", 1)), y(silence)},
		"E151": {y(strings.Replace(silence, "2027-01-31", "2027-02-30", 1)), y(strings.Replace(silence, "01-31", "02-28", 1))},
		"W001": {y(strings.Replace(rule, ", POST /api/v1/users]", "]", 1)), y(rule)},
		"W002": {dev("headers: {hsts_max_age: 24h}"), dev("headers: {hsts_max_age: 24h}\ntls: {cert: c, key: k}")},
		"W003": {y("trusted_proxies: []\nlisten: \"127.0.0.1:1\"\ntls: {cert: c, key: k}"), y("trusted_proxies: []\nlisten: \"10.0.0.1:1\"\ntls: {cert: c, key: k}")},
		"W045": {y("rate_limits: {ipv6_prefix: 65}"), y("rate_limits: {ipv6_prefix: 64}")},
		"W046": {y(rule + "  - {name: search, match: [GET /a], limit: 1001, window: 1m, by: [address, route]}\n"),
			y(rule + "  - {name: search, match: [GET /a], limit: 1000, window: 1m, by: [address, route]}\n")},
	}
	documented := map[string]bool{}
	last := ""
	for _, d := range config.Docs() {
		if documented[d.ID] || d.Title == "" || d.Explain == "" || d.ID <= last {
			t.Errorf("%s is documented twice, incompletely or out of order", d.ID)
		}
		documented[d.ID], last = true, d.ID
		if _, ok := rows[strings.TrimPrefix(d.ID, "merlon.")]; !ok && !slices.Contains(ofCertificates, d.ID) {
			t.Errorf("%s has no row here", d.ID)
		}
	}
	for id, row := range rows {
		if !documented["merlon."+id] {
			t.Errorf("%s is not documented", id)
		}
		problems := row.bad.load()
		wantIDs(t, problems, id)
		for _, p := range problems {
			want := config.SeverityError
			if id[0] == 'W' {
				want = config.SeverityFinding
			}
			if p.Severity != want || p.Where == "" || p.Message == "" || p.Fix == "" || strings.ContainsAny(p.String(), "\n\r\x1b") {
				t.Errorf("%s: incomplete problem %#v", id, p)
			}
		}
		if fatal := id[0] == 'E'; config.Fatal(problems) != fatal {
			t.Errorf("%s: Fatal is %v", id, !fatal)
		}
		if want := id != "E001" && id != "E002"; config.Parsed(problems) != want {
			t.Errorf("%s: Parsed is %v", id, !want)
		}
		wantIDs(t, row.good.load())
	}
}
