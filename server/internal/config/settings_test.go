package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// Each setting with the values at its edges, and what each wrong one is called.
// Values are YAML; "" in want means accepted.
var settingRows = []struct {
	name   string
	values map[string]string
}{
	{"environment", map[string]string{"production": "", "": "E007", "\"\"": "E007", "Production": "E012", "prod": "E012", "1": "E006", "[production]": "E006"}},
	{"listen", map[string]string{"\":8443\"": "", "\"[::1]:0\"": "", "\"localhost:1\"": "", "\"10.0.0.1:65535\"": "", "": "E007", "\":65536\"": "E023", "\"10.0.0.1\"": "E023",
		"\"example.com:1\"": "E023", "\":08\"": "E023", "\":http\"": "E023", "8443": "E006", "{a: 1}": "E006"}},
	{"database_url", map[string]string{"sqlite:merlon.db": "", "sqlite:/var/lib/merlon/merlon.db": "", "": "", "merlon.db": "E032", "\"sqlite:\"": "E032", "\"sqlite::memory:\"": "E032",
		"sqlite://x/y": "E032", "\"sqlite:file:x\"": "E032", "\"sqlite:m.db?mode=memory\"": "E032", "mysql://h/d": "E032", "postgres://h/d": "E085", "postgresql://h/d": "E085", "1": "E006",
		"postgres://u:p@h/d": "", "postgresql://u@h:5432/d": "", "postgres://u:p@h:65535/d?sslmode=verify-full&pool_max_conns=1000&search_path=m": "", "\"postgres://u@/d?host=/run/postgresql\"": "",
		"\"postgres://u:p@[::1]:5432/d?sslmode=disable\"": "", "postgres://u:p%40q%2F%23@h/d": "", "\"postgres:u@h/d\"": "E085", "postgres://u:p@h": "E085", "postgres://u:p@h/": "E085",
		"postgres://u:p@h/d/e": "E085", "postgres://u:p@/d": "E085", "\"postgres://u:p@h/d?host=/x\"": "E085", "\"postgres://u:p#q@h/d\"": "E085", "postgres://u:p@h:0/d": "E085", "postgres://u:p@h:/d": "E085", "postgres://u:p@h/%00": "E085", "postgres://u:p%0a@h/d": "E085", "postgres://u@h/d?search_path=%00": "E086", "postgres://u:p@h:65536/d": "E085",
		"postgres://u:p@h:x/d": "E085", "postgres://:p@h/d": "E085", "\"postgres://u:%zz@h/d\"": "E085", "\"postgres://u@h/d?a=%zz\"": "E085", "postgres://u:p@h/d?sslmode=prefer": "E086", "postgres://u:p@h/d?sslmode=allow": "E086",
		"postgres://u:p@h/d?sslmod=disable": "E086", "postgres://u:p@h/d?sslmode=disable&sslmode=require": "E086", "postgres://u:p@h/d?pool_max_conns=0": "E086", "postgres://u:p@h/d?pool_max_conns=1001": "E086",
		"\"postgres://u@/d?host=run\"": "E086", "postgres://u@h/d?search_path=": "E086", "postgres://u@h/d?statement_timeout=0": "E086"}},
	{"secret_key", map[string]string{testKey: "", testKey[:32]: "", "": "E013", "\"\"": "E013", testKey[:31]: "E014", strings.Repeat("a", 64): "E014", strings.Repeat("abcdefg", 9): "E014",
		strings.Repeat("q7Zk2Wv9", 4): "E014", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ": "E014", "\"01234567890123456789012345678901\"": "E014", "change-me-q8r2z5v1k9w3x7t4m6n0b2c5": "E014",
		"Your_Secret_Key_q8r2z5v1k9w3x7t4m6n0": "E014", "\" " + testKey + "\"": "E014", strings.Repeat(testKey, 200): "E014", "12345678": "E006",
		"[" + testKey + "]": "E006", "\"" + testKey + "\\n\"": "E006", "{a: b}": "E006"}},
	{"secret_key_previous", map[string]string{"[]": "", "[" + testKey + "-1]": "", "[short]": "E014", "": "", testKey + "-1": "E006", "[\"\"]": "E007", "[1]": "E006"}},
	{"origins", map[string]string{"[]": "", "[\"https://app.example.com\"]": "", "[\"https://app.example.com:8443\"]": "", "[\"https://*.example.com\"]": "", "[\"https://[::1]:3000\"]": "",
		"[\"https://10.0.0.1\"]": "", "[\"http://app.example.com\"]": "E018", "[\"*\"]": "E017", "[\"null\"]": "E017", "[null]": "E007", "[\"https://app.example.com/\"]": "E017",
		"[\"https://app.example.com:443\"]": "E017", "[\"https://app.example.com:0\"]": "E017", "[\"https://App.example.com\"]": "E017", "[\"https://u:p@app.example.com\"]": "E017",
		"[\"https://*\"]": "E017", "[\"https://*.com\"]": "E017", "[\"https://*.co.uk\"]": "E017", "[\"https://*.github.io\"]": "E017", "[\"https://*.10.0.0.1\"]": "E017", "[\"https://a.*.example.com\"]": "E017",
		"[\"https://\"]": "E017", "[\"ftp://a.example\"]": "E017", "[app.example.com]": "E017", "[\"https://1.2.3.4.5\"]": "E017", "[\"https://[::1\"]": "E017", "[\"https://[0:0::1]\"]": "E017",
		"[\"https://münchen.example\"]": "E017", "[\"https://a.example\", \"https://a.example\"]": "E034", "https://a.example": "E006", "[[a]]": "E006", "": "E007", "\"\"": "E006"}},
	{"hosts", map[string]string{"[api.example.com]": "", "[localhost, 127.0.0.1, \"::1\"]": "", "[]": "E015", "": "E007", "[\"*\"]": "E019", "[\"*.example.com\"]": "E019", "[\"a.example:8443\"]": "E019",
		"[Api.example.com]": "E019", "[\"[::1]\"]": "E019", "[a..b]": "E019", "[-a.example]": "E019", "[a_b.example]": "E019", "[1.2.3.4.5]": "E019", "[1.2.3.256]": "E019", "[\"\"]": "E007", "[a.example, a.example]": "E034", "api.example.com": "E006", "[1]": "E006", "{a: b}": "E006"}},
	{"trusted_proxies", map[string]string{"[10.0.0.1]": "", "[10.0.0.0/8]": "", "[\"fd00::/8\", \"::1\"]": "", "[\"fc00::/7\"]": "", "[\"::ffff:10.0.0.0/104\"]": "", "[]": "E016", "": "E007",
		"[0.0.0.0/0]": "E021", "[\"::/0\"]": "E021", "[0.0.0.0/1]": "E021", "[128.0.0.0/1]": "E021", "[\"::ffff:0.0.0.0/96\"]": "E021", "[\"::/8\"]": "E021", "[\"2000::/3\"]": "E021", "[\"::ffff:0:0/97\"]": "E021",
		"[10.0.0.1/24]": "E020", "[10.0.0]": "E020", "[proxy.example.com]": "E020", "[\"fe80::1%eth0\"]": "E020", "[\"\"]": "E007", "[10.0.0.1, 10.0.0.1/32]": "E034", "10.0.0.1": "E006"}},
	{"cors.credentials", map[string]string{"true": "", "false": "", "": "E007", "\"true\"": "E006", "yes": "E006", "1": "E006", "[]": "E006"}},
	{"cors.methods", map[string]string{"[GET, HEAD, OPTIONS]": "", "[]": "", "[get]": "E012", "[\"*\"]": "E012", "[TRACE]": "E012", "[GET, GET]": "E034", "GET": "E006", "": "E007"}},
	{"cors.request_headers", map[string]string{"[X-CSRF-Token]": "", "[X-A, x-csrf-token]": "", "[X-A]": "E061", "[]": "E061", "[\"*\"]": "E026", "[\"X A\"]": "E026", "[\"X:A\"]": "E026", "[cookie]": "E026", "[Sec-Fetch-Site]": "E026", "[\"\"]": "E007", "X-A": "E006"}},
	{"cors.exposed_headers", map[string]string{"[X-A]": "", "[]": "", "[\"*\"]": "E026", "[set-cookie]": "E026", "[\"é\"]": "E026", "[X-A, X-A]": "E034", "true": "E006"}},
	{"cors.max_age", map[string]string{"0s": "", "24h": "", "24h1s": "E008", "-1s": "E008", "1500ms": "E008", "0": "E006", "600": "E006", "\"600\"": "E006", "1 day": "E006", "": "E007", "[1h]": "E006", "9999999999h": "E006"}},
	{"cors.debug", map[string]string{"true": "", "false": "", "": "E007", "1": "E006", "\"true\"": "E006"}},
	{"cors.insecure_private_network", map[string]string{"a printer in the office": "", "\"\"": "", "": "", "\" \"": "E007", "true": "E006", "[a]": "E006"}},
	{"security_contact", map[string]string{"mailto:security@example.com": "", "https://example.com/security": "", "\"tel:+1-201-555-0123\"": "", "": "", "security@example.com": "E025", "http://example.com": "E025",
		"\"mailto:\"": "E025", "\"https://\"": "E025", "\"tel:\"": "E025", "\"mailto:a@b\\r\\nX: y\"": "E006", "[a]": "E006"}},
	{"password.algorithm", map[string]string{"argon2id": "", "bcrypt": "", "argon2i": "E012", "": "E007", "true": "E006"}},
	{"password.memory_kib", map[string]string{"19456": "", "1048576": "", "19455": "E008", "1048577": "E008", "0": "E008", "-1": "E008", "99999999999999999999": "E006", "19456.0": "E006", "0x5000": "E006", "020000": "E006", "19_456": "E006", "\"19456\"": "E006", "": "E007"}},
	{"password.time", map[string]string{"2": "", "16": "", "1": "E027", "0": "E008", "17": "E008", "1h": "E006"}},
	{"password.threads", map[string]string{"1": "", "16": "", "0": "E008", "17": "E008", "one": "E006"}},
	{"password.bcrypt_cost", map[string]string{"10": "", "16": "", "9": "E008", "17": "E008", "1e1": "E006"}},
	{"password.min_length", map[string]string{"8": "", "64": "", "7": "E008", "65": "E008", ".inf": "E006"}},
	{"sessions.idle_timeout", map[string]string{"1m": "", "12h": "", "12h1s": "E028", "59s": "E008", "25h": "E008", "-30m": "E008", "30": "E006", "": "E007"}},
	{"sessions.absolute_timeout", map[string]string{"30m": "", "720h": "", "29m": "E028", "59s": "E008", "721h": "E008", "12": "E006", "": "E007"}},
	{"tokens.algorithm", map[string]string{"EdDSA": "", "ES256": "", "RS256": "", "HS256": "", "none": "E012", "PS256": "E012", "eddsa": "E012", "": "E007", "256": "E006"}},
	{"tokens.access_ttl", map[string]string{"1m": "", "1h": "", "59s": "E008", "61m": "E008", "900": "E006", "": "E007"}},
	{"tokens.refresh_ttl", map[string]string{"15m": "", "2160h": "", "14m": "E043", "59s": "E008", "2161h": "E008", "30": "E006", "": "E007"}},
	{"tokens.issuer", map[string]string{"\"https://api.example.com\"": "", "\"https://api.example.com:8443/merlon\"": "", "\"https://[::1]:1\"": "", "": "", "\"http://api.example.com\"": "E041", "api.example.com": "E040",
		"\"https://\"": "E040", "\"https://u@api.example.com\"": "E040", "\"https://api.example.com?\"": "E040", "\"https://api.example.com#\"": "E040", "\"https://API.example.com\"": "E040",
		"\"HTTPS://api.example.com\"": "E040", "\"ftp://api.example.com\"": "E040", "\"https://api.example.com/a b\"": "E040", "\"https://api.example.com/" + strings.Repeat("a", 232) + "\"": "E040",
		"\"https://api.example.com/" + strings.Repeat("a", 231) + "\"": "", "1": "E006", "[a]": "E006"}},
	{"tokens.audience", map[string]string{"blog": "", "\"https://api.example.com\"": "", "": "", "a b": "E042", "é": "E042", strings.Repeat("a", 255): "", strings.Repeat("a", 256): "E042", "1": "E006"}},
	{"headers.profile", map[string]string{"api": "", "web": "", "form": "E012", "none": "E012", "": "E007", "false": "E006"}},
	{"headers.hsts_max_age", map[string]string{"5m": "", "87600h": "", "299s": "E008", "0s": "E008", "87601h": "E008", "31536000": "E006", "": "E007"}},
	{"rate_limits.default.limit", map[string]string{"1": "", "1000000": "", "0": "E008", "-1": "E008", "1000001": "E008", "many": "E006", "": "E007"}},
	{"rate_limits.default.window", map[string]string{"1s": "", "744h": "", "0s": "E008", "744h1s": "E008", "60": "E006", "": "E007"}},
	{"rate_limits.default.by", map[string]string{"[address]": "", "[principal, \"header:X-Tenant\"]": "", "[session, key, route]": "", "[account]": "E031", "[account, address]": "E031", "[\"header:Forwarded\"]": "E031", "[\"header:x-real-ip\"]": "E031", "[\"header:X-A\", \"header:x-a\"]": "E034", "[]": "E007", "": "E007", "[ip]": "E031", "[\"header:\"]": "E031",
		"[\"header:X A\"]": "E031", "[\"header:cookie\"]": "E031", "[address, address]": "E034", "address": "E006"}},
	{"rate_limits.default.limits", map[string]string{"[]": "", "[1/1s]": "", "[1000000/744h]": "", "[100/1m, 20/1s]": "", "[100/1m, 20/60s]": "E070", "[0/1m]": "E008", "[1000001/1m]": "E008", "[1/999ms]": "E008", "[1/745h]": "E008",
		"[100]": "E006", "[\"100\"]": "E070", "[100/60]": "E070", "[100/m]": "E070", "[-1/1m]": "E008", "[010/1m]": "E070", "[1/1m/1m]": "E070", "[100 /1m]": "E070", "[\"\"]": "E007", "100/1m": "E006", "": "E007", "{a: 1}": "E006"}},
	{"rate_limits.default.algorithm", map[string]string{"sliding_window": "", "token_bucket": "E072", "fixed_window": "E012", "": "E007", "1": "E006"}},
	{"rate_limits.default.burst", map[string]string{"0": "", "1": "E072", "-1": "E008", "1000001": "E008", "many": "E006", "": "E007"}},
	{"rate_limits.ipv4_prefix", map[string]string{"8": "", "32": "", "7": "E008", "33": "E008", "/24": "E006", "": "E007"}},
	{"rate_limits.ipv6_prefix", map[string]string{"16": "", "64": "", "65": "W045", "128": "W045", "15": "E008", "129": "E008", "": "E007"}},
	{"rate_limits.insecure_exempt.addresses", map[string]string{"[]": "", "[10.0.0.0/8]": "E074", "[10.0.0.1/8]": "E073", "[\"::/0\"]": "E073", "[0.0.0.0/1]": "E073", "[office]": "E073", "[10.0.0.1, 10.0.0.1]": "E034", "10.0.0.1": "E006", "": "E007"}},
	{"rate_limits.insecure_exempt.reason", map[string]string{"": "", "\"\"": "", "why": "E074", "\" \"": "", "1": "E006"}},
	{"rate_limits.address.limit", map[string]string{"1": "", "1000000": "", "0": "E008", "1000001": "E008", "x": "E006"}},
	{"rate_limits.address.window", map[string]string{"1s": "", "744h": "", "0s": "E008", "745h": "E008", "1": "E006"}},
	{"rate_limits.bad_credentials.limit", map[string]string{"1": "", "1000000": "", "0": "E008", "1000001": "E008", "x": "E006"}},
	{"rate_limits.bad_credentials.window", map[string]string{"1s": "", "744h": "", "0s": "E008", "745h": "E008", "1": "E006"}},
	{"rate_limits.on_store_error", map[string]string{"deny": "", "allow": "", "local": "", "ignore": "E012", "": "E007", "1": "E006"}},
	{"insecure_shadow.controls", map[string]string{"[]": "", "[csrf]": "E056", "[crsf]": "E055", "[route]": "E055", "[headers]": "E055", "[csrf, csrf]": "E034", "csrf": "E006", "[\"\"]": "E007", "": "E007"}},
	{"check.silence", map[string]string{"[]": "", "": "E007", "x": "E006", "[x]": "E006", "{id: merlon.W022}": "E006", "[{id: merlon.W022, reason: why, until: 2027-01-31}]": "",
		"[{id: \"merlon.W022\", reason: why, until: \"2027-01-31\"}, {id: merlon.W021, reason: why, until: 2027-01-31}]": "", "[{id: merlon.W022, reason: why, until: 2027-01-31}, {id: merlon.W022, reason: other, until: 2027-02-28}]": "E034",
		"[{reason: why, until: 2027-01-31}]": "E007", "[{id: merlon.W022, until: 2027-01-31}]": "E007", "[{id: merlon.W022, reason: why}]": "E007", "[{id: merlon.W022, reason: \"\", until: 2027-01-31}]": "E007",
		"[{id: merlon.W022, reason: \" \", until: 2027-01-31}]": "E007", "[{id: merlon.W022, reason: why, until: \"\"}]": "E007", "[{id: merlon.E003, reason: why, until: 2027-01-31}]": "E150", "[{id: W022, reason: why, until: 2027-01-31}]": "E150",
		"[{id: merlon.w022, reason: why, until: 2027-01-31}]": "E150", "[{id: merlon.W22, reason: why, until: 2027-01-31}]": "E150", "[{id: \"*\", reason: why, until: 2027-01-31}]": "E150", "[{id: merlon.W022, reason: why, until: 2027-02-29}]": "E151",
		"[{id: merlon.W022, reason: why, until: 31.1.2027}]": "E151", "[{id: merlon.W022, reason: why, until: 2027-01-31T00:00:00Z}]": "E151", "[{id: merlon.W022, reason: why, until: never}]": "E151", "[{id: merlon.W022, reason: why, until: 2027}]": "E006",
		"[{id: merlon.W022, reason: why, until: 2027-01-31, unti: x}]": "E003"}},
	{"insecure_shadow.reason", map[string]string{"": "", "\"\"": "", "why": "E057", "\" \"": "", "[why]": "E006", "1": "E006"}},
	{"audit.log", map[string]string{"logs/x.log": "", "/var/log/x.log": "", "": "E035", "1": "E006", "\"a\\0b\"": "E006", "\"-----BEGIN PRIVATE KEY-----\"": "E006"}},
	{"audit.stdout", map[string]string{"true": "", "false": "", "on": "E006", "": "E007"}},
	{"audit.max_size_mib", map[string]string{"1": "", "10240": "", "0": "E008", "10241": "E008", "100MiB": "E006", "": "E007"}},
	{"audit.max_age", map[string]string{"0s": "", "24h": "", "8785h": "E008", "1": "E006"}},
	{"audit.keep_for", map[string]string{"0s": "", "720h": "", "87841h": "E008", "-1s": "E008"}},
	{"audit.compress", map[string]string{"true": "", "1": "E006"}},
	{"audit.checkpoint_interval", map[string]string{"1s": "", "1h": "", "0s": "E008", "61m": "E008"}},
	{"audit.database_keep_for", map[string]string{"1h": "", "59m": "E008"}},
	{"audit.addresses", map[string]string{"whole": "", "truncated": "", "hashed": "", "none": "E012"}},
	{"audit.names", map[string]string{"whole": "", "hashed": "", "truncated": "E012"}},
	{"audit.canaries", map[string]string{"[]": "", "[backup, /wp-login.php]": "", "[\"/a?b\"]": "E080", "[\"a b\"]": "E080"}},
	{"audit.wait", map[string]string{"0s": "", "100ms": "", "101ms": "E008", "1500us": "E008", "-1ms": "E008", "50": "E006", "": "E007"}},
	{"audit.wait_for", map[string]string{"[]": "", "[account]": "", "[authentication, rate_limit, suspicious_activity, authorization, session, api_key, account, system]": "", "[accounts]": "E012", "[account, account]": "E034", "account": "E006", "": "E007"}},
	{"audit.spool_for", map[string]string{"[]": "", "[account]": "", "[everything]": "E012", "[account, account]": "E034", "1": "E006"}},
	{"audit.file_only.categories", map[string]string{"[]": "", "[account, system]": "", "[accounts]": "E012", "[account, account]": "E034", "account": "E006", "": "E007"}},
	{"audit.file_only.severity", map[string]string{"info": "", "critical": "", "warning": "E012", "": "E007", "1": "E006"}},
	{"audit.file_only.outcomes", map[string]string{"[]": "", "[failure, refused, would_refuse]": "", "[failed]": "E012", "refused": "E006"}},
	{"audit.database_only.categories", map[string]string{"[]": "", "[account, system]": "", "[accounts]": "E012", "[account, account]": "E034", "account": "E006", "": "E007"}},
	{"audit.database_only.severity", map[string]string{"info": "", "critical": "", "warning": "E012", "": "E007", "1": "E006"}},
	{"audit.database_only.outcomes", map[string]string{"[]": "", "[failure, refused, would_refuse]": "", "[failed]": "E012", "refused": "E006"}},
	{"audit.stdout_only.categories", map[string]string{"[]": "", "[account, system]": "E122", "[accounts]": "E012", "[account, account]": "E034", "account": "E006", "": "E007"}},
	{"audit.stdout_only.severity", map[string]string{"info": "", "critical": "E122", "warning": "E012", "": "E007", "1": "E006"}},
	{"audit.stdout_only.outcomes", map[string]string{"[]": "", "[failure, refused, would_refuse]": "E122", "[failed]": "E012", "refused": "E006"}},
	{"audit.keep", map[string]string{"1": "", "1000": "", "0": "E008", "1001": "E008", "[]": "E006"}},
	{"tls.cert", map[string]string{"cert.pem": "E022", "": "", "1": "E006", "\"-----BEGIN CERTIFICATE-----\"": "E006"}},
	{"tls.key", map[string]string{"key.pem": "E022", "": "", "true": "E006", "\"-----BEGIN PRIVATE KEY-----\\nxx\"": "E006"}},
	{"drain_time", map[string]string{"0s": "", "5m": "", "301s": "E008", "-1s": "E008", "1500ms": "E008", "5": "E006", "": "E007"}},
	{"connections.max", map[string]string{"10": "", "1000000": "", "9": "E008", "1000001": "E008", "0": "E008", "many": "E006", "": "E007"}},
	{"connections.per_address", map[string]string{"1": "", "1000000": "", "0": "E008", "1000001": "E008", "1.5": "E006", "": "E007"}},
	{"operations_listen", map[string]string{"\"\"": "", "": "", "\"127.0.0.1:9090\"": "", "\":9090\"": "", "\":8443\"": "E090", "\"9090\"": "E023", "\"example.com:9090\"": "E023", "9090": "E006"}},
	{"redis_url", map[string]string{"\"\"": "", "": "", "redis://h": "", "\"rediss://u:p@h:1/65535\"": "", "\"valkey://[::1]\"": "", "valkeys://h/": "", "unix:///run/redis.sock": "",
		"\"unix://:p%40@/run/redis.sock?db=2\"": "", "h": "E065", "\"h:6379\"": "E065", "http://h": "E065", "\"redis://\"": "E065", "\"redis://:6379\"": "E065", "\"redis://h:0\"": "E065", "\"redis://h:\"": "E065",
		"\"redis://h:65536\"": "E065", "redis://h/x": "E065", "redis://h/-1": "E065", "redis://h/01": "E065", "redis://h/65536": "E065", "redis://h/1/2": "E065", "\"redis://h?db=1\"": "E065", "\"rediss://h?skip_verify=true\"": "E065",
		"\"redis://h?\"": "E065", "\"redis://h#x\"": "E065", "redis://p@h": "E065", "\"redis://p:@h\"": "E065", "\"redis://:p#q@h\"": "E065", "unix://h/run/s": "E065", "\"unix:///\"": "E065", "unix:run": "E065",
		"\"unix:///s?db=1&db=2\"": "E065", "\"unix:///s?db=1&x=2\"": "E065", "[a]": "E006"}},
	{"redirect_listen", map[string]string{"\"\"": "", "": "", "\":80\"": "E050", "\"127.0.0.1:8080\"": "E050", "\"80\"": "E023", "\"example.com:80\"": "E023", "80": "E006", "[\":80\"]": "E006"}},
	{"redirect_port", map[string]string{"443": "", "1": "", "65535": "", "0": "E008", "65536": "E008", "-1": "E008", "\"443\"": "E006", "https": "E006", "": "E007"}},
	{"rate_limits.expected_nodes", map[string]string{"1": "", "2": "E066", "0": "E008", "10001": "E008", "-1": "E008", "two": "E006", "": "E007"}},
	{"rate_limits.store_timeout", map[string]string{"5ms": "", "1s": "", "250ms": "", "4ms": "E008", "1001ms": "E008", "5500us": "E008", "0s": "E008", "25": "E006", "": "E007"}},
	{"traces.endpoint", map[string]string{"\"\"": "", "\"http://127.0.0.1:4318\"": "", "\"https://collector.example/otlp/v1/traces\"": "", "\"grpc://h:4317\"": "E118", "\"h:4318\"": "E118",
		"\"http://u:p@h:4318\"": "E118", "\"http://h:4318?token=x\"": "E118", "\"http://\"": "E118"}},
	{"traces.one_in", map[string]string{"1": "", "1000000": "", "0": "E008", "1000001": "E008", "0.1": "E006", "": "E007"}},
	{"acme.domains", map[string]string{"[]": "", "[api.example.com]": "E112", "[\"*.example.com\"]": "E111", "[192.0.2.1]": "E111", "[\"2001:db8::1\"]": "E111", "[localhost]": "E111", "[api]": "E111",
		"[api.test]": "E111", "[api.localhost]": "E111", "[api.local]": "E111", "[api.invalid]": "E111", "[api.example]": "E111", "[x.onion]": "E111", "[x.alt]": "E111", "[A.example.com]": "E111", "[\"a.example.com:443\"]": "E111"}},
	{"acme.email", map[string]string{"\"\"": "", "ops@example.com": "E117", "ops": "E114", "\"Ops <ops@example.com>\"": "E114", "\"mailto:ops@example.com\"": "E114", "\"a@example.com,b@example.com\"": "E114", "\"a@example.com?x=y\"": "E114"}},
	{"acme.directory_url", map[string]string{"https://acme-v02.api.letsencrypt.org/directory": "", "\"https://ca.example:14000/dir\"": "E117", "http://ca.example/dir": "E115", "ca.example": "E115", "\"https:///dir\"": "E115", "\"https://u:p@ca.example/dir\"": "E115", "": "E007"}},
	{"acme.terms_agreed", map[string]string{"false": "", "true": "E117", "1": "E006", "": "E007"}},
	{"acme.storage", map[string]string{"acme": "", "/var/lib/merlon/acme": "E117", "": "E007"}},
	{"acme.ca_file", map[string]string{"\"\"": "", "ca.pem": "E117", "\"-----BEGIN CERTIFICATE-----\"": "E006"}},
	{"upstreams", map[string]string{"[{name: blog}]": "E011"}},
	{"routes", map[string]string{"[{match: GET /}]": "E011"}},
	{"rate_limits", map[string]string{"": "", "[]": "E006", "1": "E006"}},
	{"cors.max-age", map[string]string{"1h": "E003"}},
}

// nested writes a dotted name as the nested YAML it stands for.
func nested(name, value string) string {
	var b strings.Builder
	parts := strings.Split(name, ".")
	for i, p := range parts {
		b.WriteString(strings.Repeat("  ", i) + p + ":")
		if i == len(parts)-1 {
			b.WriteString(" " + value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestEverySettingAtItsEdges(t *testing.T) {
	for _, row := range settingRows {
		for value, want := range row.values {
			text := nested(row.name, value)
			_, problems := load(production(text))
			if want == "" {
				if len(problems) > 0 {
					t.Errorf("%s refused:\n%s", text, lines(problems))
				}
				continue
			}
			got := ids(problems)
			if len(got) == 0 || slices.ContainsFunc(got, func(id string) bool { return id != want }) {
				t.Errorf("%s: %v, want %s\n%s", text, got, want, lines(problems))
				continue
			}
			if p := problems[0]; !strings.HasPrefix(p.Where, "merlon.yaml:") && p.Where != "settings" {
				t.Errorf("%s is at %q", text, p.Where)
			}
		}
	}
}

func TestTheTableAboveHasEverySetting(t *testing.T) {
	s, _ := load("environment: development")
	var path []string
	for _, line := range strings.Split(strings.TrimSpace(string(s.YAML())), "\n") {
		key, _, _ := strings.Cut(strings.TrimLeft(line, " "), ":")
		depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
		if strings.HasPrefix(key, "- ") || depth > 2 || depth == 2 && path[0]+path[1] == "rate_limitsrules" {
			continue
		}
		path = append(path[:depth:depth], key)
		name := strings.Join(path, ".")
		if strings.HasSuffix(line, ":") || name == "rate_limits.rules" {
			continue
		}
		found := false
		for _, row := range settingRows {
			found = found || row.name == name
		}
		if !found {
			t.Errorf("%s has no row", name)
		}
	}
}

func TestDefaultsAreThoseOfTheContract(t *testing.T) {
	s, problems := load(production(""))
	wantIDs(t, problems)
	const want = `environment: production
listen: ":8443"
database_url: "[redacted]"
redis_url: ""
secret_key: "[redacted]"
secret_key_previous: []
origins: []
hosts: [api.example.com]
trusted_proxies: ["10.1.0.0/16"]
cors:
  credentials: true
  methods: [GET, POST, PUT, PATCH, DELETE]
  request_headers: [Authorization, Content-Type, X-API-Key, X-CSRF-Token, X-Requested-With]
  exposed_headers: [RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id]
  max_age: 24h
  debug: false
  insecure_private_network: ""
tls:
  cert: ""
  key: ""
acme:
  domains: []
  email: ""
  directory_url: "https://acme-v02.api.letsencrypt.org/directory"
  terms_agreed: false
  storage: acme
  ca_file: ""
redirect_listen: ""
redirect_port: 443
operations_listen: ""
drain_time: 5s
traces:
  endpoint: ""
  one_in: 10
connections:
  max: 10000
  per_address: 500
security_contact: ""
password:
  algorithm: argon2id
  memory_kib: 19456
  time: 2
  threads: 1
  bcrypt_cost: 12
  min_length: 8
sessions:
  idle_timeout: 30m
  absolute_timeout: 12h
tokens:
  algorithm: EdDSA
  access_ttl: 15m
  refresh_ttl: 720h
  issuer: "https://api.example.com"
  audience: "https://api.example.com"
headers:
  profile: api
  hsts_max_age: 17520h
rate_limits:
  default:
    limit: 100
    window: 1m
    by: [principal_or_address, route]
  address:
    limit: 1000
    window: 1m
  bad_credentials:
    limit: 30
    window: 1m
  on_store_error: local
  expected_nodes: 1
  store_timeout: 25ms
  ipv4_prefix: 32
  ipv6_prefix: 64
  insecure_exempt:
    addresses: []
    reason: ""
  rules:
    - name: login
      match: ["POST /api/v1/auth/login", "POST /api/v1/auth/token", "POST /api/v1/users/me/password"]
      limit: 5
      window: 5m
      by: [address]
      count: failures
    - name: login-account
      match: ["POST /api/v1/auth/login", "POST /api/v1/auth/token", "POST /api/v1/users/me/password"]
      limit: 50
      window: 1h
      by: [account]
      count: failures
    - name: register
      match: ["POST /api/v1/users"]
      limit: 10
      window: 1m
      by: [address]
      count: requests
    - name: reports
      match: ["POST /reports"]
      limit: 60
      window: 1m
      by: [address]
      count: requests
audit:
  log: logs/security.log
  stdout: false
  max_size_mib: 100
  keep: 10
  max_age: 0s
  keep_for: 0s
  compress: false
  checkpoint_interval: 1m
  database_keep_for: 2160h
  addresses: whole
  names: whole
  canaries: []
  wait: 50ms
  wait_for: [account, api_key, system]
  spool_for: [authentication, rate_limit, suspicious_activity, authorization, session, api_key, account, system]
  file_only:
    categories: []
    severity: info
    outcomes: []
  database_only:
    categories: []
    severity: info
    outcomes: []
  stdout_only:
    categories: []
    severity: info
    outcomes: []
insecure_shadow:
  controls: []
  reason: ""
check:
  silence: []
`
	if got := string(s.YAML()); got != want {
		t.Errorf("defaults:\n%s", got)
	}
	if s.DatabaseFile() != "merlon.db" || s.DatabaseURL.Reveal() != "sqlite:merlon.db" {
		t.Errorf("database %q", s.DatabaseURL.Reveal())
	}
}

func TestDevelopmentRelaxesExactlyWhatTheContractSays(t *testing.T) {
	s, problems := load("environment: development")
	wantIDs(t, problems)
	want := []string{"http://localhost:3000", "http://localhost:8080", "http://127.0.0.1:3000"}
	if s.Environment != "development" || !slices.Equal(s.Origins, want) || s.Listen != "127.0.0.1:8080" {
		t.Errorf("%+v", s)
	}
	again, _ := load("environment: development")
	if !s.SecretKeyGenerated || len(s.SecretKey.Reveal()) < 32 || s.SecretKey.Equal(again.SecretKey) {
		t.Error("the secret key is not generated anew")
	}
	p, _ := load(production("secret_key: " + testKey))
	if issuer := "http://127.0.0.1:8080"; s.Tokens.Issuer != issuer || s.Tokens.Audience != issuer {
		t.Errorf("tokens are issued by %s for %s", s.Tokens.Issuer, s.Tokens.Audience)
	}
	s.Tokens = p.Tokens
	if s.DrainTime != 0 || p.DrainTime != 5*time.Second {
		t.Errorf("a drain takes %v and in production %v, want no time and 5s", s.DrainTime, p.DrainTime)
	}
	s.DrainTime = p.DrainTime
	s.Environment, s.Listen, s.Origins, s.Hosts, s.TrustedProxies = p.Environment, p.Listen, p.Origins, p.Hosts, p.TrustedProxies
	if got, want := string(s.YAML()), string(p.YAML()); got != want {
		t.Errorf("development differs in more:\n%s\n%s", got, want)
	}

	s, problems = load("environment: development\nsecret_key: " + testKey + "\norigins: []")
	wantIDs(t, problems)
	if s.SecretKeyGenerated || s.SecretKey.Reveal() != testKey || len(s.Origins) != 0 {
		t.Error("what is set does not win over the development default")
	}
	_, problems = load("environment: development\nsecret_key: short\norigins: [\"*\"]\nrate_limits: {on_store_error: none}")
	wantIDs(t, problems, "E014", "E017", "E012")
}

func TestProductionIsTheDefaultAndRequiresItsThree(t *testing.T) {
	s, problems := config.Load(config.Source{Open: files{}.open})
	wantIDs(t, problems, "E013", "E015", "E016")
	if s.Environment != "production" || s.SecretKey.IsSet() {
		t.Errorf("%v", s.Environment)
	}
	_, problems = load("", "MERLON_ENVIRONMENT=dev")
	wantIDs(t, problems, "E012", "E013", "E015", "E016")
}

func TestTheIssuerIsTheFirstHostUnlessItIsNamed(t *testing.T) {
	for yaml, want := range map[string][2]string{
		production("hosts: [b.example, a.example]"):                           {"https://b.example", "https://b.example"},
		production("hosts: [\"::1\"]"):                                        {"https://[::1]", "https://[::1]"},
		production("tokens: {issuer: \"https://id.example\"}"):                {"https://id.example", "https://id.example"},
		production("tokens: {audience: blog}"):                                {"https://api.example.com", "blog"},
		"environment: development\nlisten: \"localhost:1\"":                   {"http://localhost:1", "http://localhost:1"},
		"environment: development\nlisten: \":2\"\ntls: {cert: c, key: k}":    {"https://localhost:2", "https://localhost:2"},
		"environment: development\nhosts: [dev.example]\nlisten: \"[::1]:3\"": {"https://dev.example", "https://dev.example"},
	} {
		s, problems := load(yaml)
		if got := [2]string{s.Tokens.Issuer, s.Tokens.Audience}; got != want || len(problems) > 0 {
			t.Errorf("%s: %q, want %q\n%s", yaml, got, want, lines(problems))
		}
	}
}

func TestRulesOfTheFileReplaceTheBuiltInOnes(t *testing.T) {
	s, problems := load(production(rule))
	wantIDs(t, problems)
	if len(s.RateLimits.Rules) != 1 || s.RateLimits.Rules[0].Name != "all" || s.RateLimits.Rules[0].Count != config.CountRequests {
		t.Errorf("%+v", s.RateLimits.Rules)
	}
	_, problems = load(production("rate_limits: {rules: []}"))
	wantIDs(t, problems, "W001", "W001", "W001", "W001")
	if config.Fatal(problems) {
		t.Error("a finding stops the service")
	}
}

func TestRules(t *testing.T) {
	const lead = "rate_limits:\n  rules:\n    - "
	const good = "{name: a, match: [GET /a], limit: 1, window: 1s, by: [address]}"
	const several = "{name: a, match: [GET /a], limits: [100/1m, 20/1s], by: [address]}"
	const bucket = "{name: a, match: [GET /a], limit: 10, window: 1s, algorithm: token_bucket, burst: 20, by: [address]}"
	rows := map[string]struct {
		rules string
		want  []string
	}{
		"a rule at its lower edges":             {good, nil},
		"a rule at its upper edges":             {"{name: a, match: [\"GET /a/{b}/{c...}\"], limit: 1000000, window: 744h, by: [key, route], count: failures}", nil},
		"a name listed twice":                   {good + "\n    - " + good, []string{"E029"}},
		"a name of a guard":                     {strings.Replace(good, "name: a", "name: bad_credentials", 1), []string{"E029"}},
		"a name of 24 letters":                  {strings.Replace(good, "name: a", "name: "+strings.Repeat("a", 24), 1), nil},
		"a name of 25 letters":                  {strings.Replace(good, "name: a", "name: "+strings.Repeat("a", 25), 1), []string{"E029"}},
		"a header twice":                        {strings.Replace(good, "[address]", "[\"header:X-A\", \"header:x-a\"]", 1), []string{"E034"}},
		"by account":                            {strings.Replace(good, "[address]", "[account]", 1), nil},
		"a name in upper case":                  {strings.Replace(good, "name: a", "name: A", 1), []string{"E029"}},
		"no name":                               {strings.Replace(good, "name: a, ", "", 1), []string{"E007"}},
		"no match":                              {strings.Replace(good, "match: [GET /a], ", "", 1), []string{"E007"}},
		"an empty match":                        {strings.Replace(good, "[GET /a]", "[]", 1), []string{"E007"}},
		"no limit":                              {strings.Replace(good, "limit: 1, ", "", 1), []string{"E007"}},
		"no window":                             {strings.Replace(good, "window: 1s, ", "", 1), []string{"E007"}},
		"no by":                                 {strings.Replace(good, ", by: [address]", "", 1), []string{"E007"}},
		"limit zero":                            {strings.Replace(good, "limit: 1", "limit: 0", 1), []string{"E008"}},
		"a window under a second":               {strings.Replace(good, "1s", "999ms", 1), []string{"E008"}},
		"a window over 31 days":                 {strings.Replace(good, "1s", "745h", 1), []string{"E008"}},
		"several windows":                       {several, nil},
		"several windows and a limit":           {strings.Replace(several, "by:", "limit: 5, by:", 1), []string{"E071"}},
		"several windows and a window":          {strings.Replace(several, "by:", "window: 5m, by:", 1), []string{"E071"}},
		"several windows, one of them wrong":    {strings.Replace(several, "20/1s", "20/0s", 1), []string{"E008"}},
		"two limits for one window":             {strings.Replace(several, "20/1s", "20/1m", 1), []string{"E070"}},
		"no windows":                            {strings.Replace(several, "100/1m, 20/1s", "", 1), []string{"E007", "E007"}},
		"a token bucket":                        {bucket, nil},
		"a token bucket without a burst":        {strings.Replace(bucket, ", burst: 20", "", 1), []string{"E072"}},
		"a token bucket with a burst of none":   {strings.Replace(bucket, "burst: 20", "burst: 0", 1), []string{"E072"}},
		"a burst without a token bucket":        {strings.Replace(bucket, ", algorithm: token_bucket", "", 1), []string{"E072"}},
		"a burst for a sliding window":          {strings.Replace(bucket, "token_bucket", "sliding_window", 1), []string{"E072"}},
		"a token bucket of several windows":     {strings.Replace(several, "by:", "algorithm: token_bucket, burst: 5, by:", 1), []string{"E072"}},
		"a bucket that fills in a year":         {strings.Replace(bucket, "limit: 10, window: 1s, algorithm: token_bucket, burst: 20", "limit: 1, window: 24h, algorithm: token_bucket, burst: 366", 1), nil},
		"a bucket that takes longer":            {strings.Replace(bucket, "limit: 10, window: 1s, algorithm: token_bucket, burst: 20", "limit: 1, window: 24h, algorithm: token_bucket, burst: 367", 1), []string{"E072"}},
		"an unknown algorithm":                  {strings.Replace(bucket, "token_bucket", "leaky_bucket", 1), []string{"E012"}},
		"a name of 24 characters":               {strings.Replace(good, "name: a", "name: a"+strings.Repeat("b", 23), 1), nil},
		"a name of 25 characters":               {strings.Replace(good, "name: a", "name: a"+strings.Repeat("b", 24), 1), []string{"E029"}},
		"a name that limits of keys have":       {strings.Replace(good, "name: a", "name: key", 1), []string{"E029"}},
		"a header that clients make up":         {strings.Replace(good, "[address]", "[address, \"header:X-Forwarded-For\"]", 1), []string{"E031"}},
		"a pattern without a method":            {strings.Replace(good, "GET /a", "/a", 1), []string{"E030"}},
		"a pattern without a path":              {strings.Replace(good, "GET /a", "GET", 1), []string{"E030"}},
		"a pattern with a relative path":        {strings.Replace(good, "GET /a", "GET a", 1), []string{"E030"}},
		"a pattern with a query":                {strings.Replace(good, "GET /a", "\"GET /a?b\"", 1), []string{"E030"}},
		"a pattern with an invented method":     {strings.Replace(good, "GET /a", "GOT /a", 1), []string{"E030"}},
		"a pattern with an unclosed wildcard":   {strings.Replace(good, "GET /a", "\"GET /{a\"", 1), []string{"E030"}},
		"a pattern with a double slash":         {strings.Replace(good, "GET /a", "GET //a", 1), []string{"E030"}},
		"an unknown count":                      {strings.Replace(good, "}", ", count: all}", 1), []string{"E012"}},
		"an unknown member":                     {strings.Replace(good, "}", ", weigth: 1}", 1), []string{"E003"}},
		"a member written twice":                {strings.Replace(good, "}", ", limit: 2}", 1), []string{"E004"}},
		"a rule that is text":                   {"login", []string{"E006"}},
		"a rule that is nothing":                {"", []string{"E007"}},
		"three things wrong are three problems": {"{name: A, match: GET /a, limit: 1, window: 1s, by: [ip]}", []string{"E029", "E006", "E031"}},
	}
	for name, row := range rows {
		_, problems := load(production(lead + row.rules + "\n"))
		problems = slices.DeleteFunc(problems, func(p config.Problem) bool { return p.ID == "merlon.W001" })
		got := ids(problems)
		slices.Sort(row.want)
		if fmt.Sprint(got) != fmt.Sprint(append([]string{}, row.want...)) {
			t.Errorf("%s: %v, want %v\n%s", name, got, row.want, lines(problems))
		}
	}
}

func TestARuleGuardsARouteOnlyByWhatTheCallerCannotChoose(t *testing.T) {
	for by, want := range map[string]int{"[address]": 0, "[account]": 0, "[principal_or_address]": 0, "[address, route]": 0,
		"[session]": 4, "[key]": 4, "[\"header:X-Id\"]": 4, "[address, \"header:X-Id\"]": 4, "[route]": 4} {
		_, problems := load(production(strings.Replace(rule, "[address]", by, 1)))
		if len(problems) != want {
			t.Errorf("by %s: %d findings, want %d\n%s", by, len(problems), want, lines(problems))
		}
	}
	_, problems := load(production("rate_limits:\n  rules:\n    - {name: all, match: [\"POST /api/v1/{rest...}\"], limit: 5, window: 1m, by: [address]}"))
	wantIDs(t, problems)
	_, problems = load(production("rate_limits:\n  rules:\n    - {name: all, match: [\"GET /api/v1/{rest...}\"], limit: 5, window: 1m, by: [address]}"))
	wantIDs(t, problems, "W001", "W001", "W001", "W001")
}
