package findings_test

import (
	"crypto/elliptic"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/acme"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/findings"
)

const (
	login    = "{name: login, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password], limit: 5, window: 5m, by: [address], count: failures}"
	account  = "{name: account, match: [POST /api/v1/auth/login, POST /api/v1/auth/token, POST /api/v1/users/me/password], limit: 50, window: 1h, by: [account], count: failures}"
	register = "{name: register, match: [POST /api/v1/users], limit: 10, window: 1m, by: [address]}"
)

const reports = "{name: reports, match: [POST /reports], limit: 60, window: 1m, by: [address]}"

// limits are rate_limits of these rules and that of reports; bare are those of these alone.
func limits(rules ...string) string { return bare(append(rules, reports)...) }

func bare(rules ...string) string { return "{rules: [" + strings.Join(rules, ", ") + "]}" }

func with(rule, old, new string) string { return strings.Replace(rule, old, new, 1) }

// For each finding a world that has it and no other, and the nearest one that has none.
func TestEachFindingHasATriggerAndACleanNeighbour(t *testing.T) {
	good := request{-10, 80, "api.example.com", 0}
	routes := len(config.PasswordRoutes())
	development := func(listen string) func(*world) {
		return func(w *world) { w.set("environment", "development").set("listen", "\""+listen+"\"") }
	}
	setting := func(name, value string) func(*world) { return func(w *world) { w.set(name, value) } }
	certificate := func(r request) func(*world) { return func(w *world) { w.certificate(r) } }
	both := func(a, b func(*world)) func(*world) { return func(w *world) { a(w); b(w) } }
	type pair struct {
		bad, good func(*world)
		n         int  // findings, 1 when 0
		quiet     bool // the good one has a finding that is silenced
	}
	rows := map[string]pair{
		"E052": {bad: both(certificate(good), func(w *world) { w.file("cert.pem", "nothing", 0o644) }), good: certificate(good)},
		"E053": {bad: certificate(request{-90, -1, "api.example.com", 0}), good: certificate(good)},
		"E054": {bad: certificate(request{-10, 80, "other.example.com", 0}), good: certificate(good)},
		"W001": {bad: setting("rate_limits", limits(login, account)), good: setting("rate_limits", limits(login, account, register))},
		"W002": {bad: func(w *world) {
			w.set("environment", "development").set("trusted_proxies", "[]").set("headers", "{hsts_max_age: 8760h}")
		}, good: both(development("127.0.0.1:1"), setting("headers", "{hsts_max_age: 8760h}"))},
		"W003": {bad: both(certificate(good), func(w *world) { w.set("trusted_proxies", "[]").set("listen", `"127.0.0.1:8443"`) }),
			good: both(certificate(good), func(w *world) { w.set("trusted_proxies", "[]").set("listen", `"10.0.0.1:8443"`) })},
		"W004": {bad: setting("password", "{min_length: 14}"), good: setting("password", "{min_length: 15}")},
		"W005": {bad: setting("password", "{min_length: 15, algorithm: bcrypt}"), good: setting("password", "{min_length: 15, algorithm: argon2id}")},
		"W007": {bad: setting("headers", "{hsts_max_age: 8759h}"), good: setting("headers", "{hsts_max_age: 8760h}")},
		"W008": {bad: setting("origins", `["https://a.example", "https://*.example.com"]`),
			good: both(setting("origins", `["https://a.example", "https://*.example.com"]`), setting("cors", "{credentials: false}"))},
		"W009": {bad: setting("origins", `["https://localhost:3000", "https://10.0.0.1", "https://[::1]"]`), good: setting("origins", `["https://localhost.example.com", "https://8.8.8.8"]`), n: 3},
		"W010": {bad: setting("trusted_proxies", `[10.0.0.0/15, "2001:db8::/47", 10.1.0.0/16, 192.168.0.0/16]`), good: setting("trusted_proxies", `[10.0.0.0/16, "2001:db8::/48", 192.168.0.0/17]`), n: 3},
		"W011": {bad: setting("rate_limits", "{default: {limit: 1001}}"), good: setting("rate_limits", "{default: {limit: 1000}}")},
		"W012": {bad: setting("rate_limits", "{address: {limit: 1000, window: 5s}}"), good: setting("rate_limits", "{address: {limit: 1000, window: 6s}}")},
		"W013": {bad: setting("rate_limits", "{bad_credentials: {limit: 301, window: 1h}}"), good: setting("rate_limits", "{bad_credentials: {limit: 300, window: 1h}}")},
		"W014": {bad: setting("rate_limits", `{default: {by: ["header:X-Tenant", address]}, rules: [`+login+", "+account+", "+register+", "+reports+`, {name: x, match: [GET /x], limit: 1, window: 1s, by: ["header:X-Tenant"]}]}`),
			good: setting("rate_limits", "{default: {by: [principal, address]}}"), n: 2},
		"W015": {bad: setting("rate_limits", "{default: {by: [route]}}"), good: setting("rate_limits", "{default: {by: [address, route]}}")},
		"W016": {bad: setting("rate_limits", limits(with(login, "5m", "299s"), account, register)), good: setting("rate_limits", limits(with(login, "5m", "300s"), account, register)), n: routes},
		"W017": {bad: setting("rate_limits", limits(with(login, "[address]", "[address, account]"), account, register)), good: setting("rate_limits", limits(login, account, register)), n: routes},
		"W018": {bad: setting("rate_limits", limits(login, with(account, "limit: 50", "limit: 101"), register)), good: setting("rate_limits", limits(login, with(account, "limit: 50", "limit: 100"), register)), n: routes},
		"W019": {bad: setting("rate_limits", limits(login, account, with(register, "limit: 10", "limit: 101"))), good: setting("rate_limits", limits(login, account, with(register, "limit: 10", "limit: 100")))},
		"W020": {bad: setting("rate_limits", "{on_store_error: allow}"), good: setting("rate_limits", "{on_store_error: local}")},
		"W021": {bad: setting("sessions", "{idle_timeout: 1801s}"), good: setting("sessions", "{idle_timeout: 30m}")},
		"W022": {bad: setting("sessions", "{absolute_timeout: 86401s}"), good: setting("sessions", "{absolute_timeout: 24h}")},
		"W023": {bad: setting("audit", `{log: "", stdout: true}`), good: func(w *world) { w.set("audit", "{log: "+w.dir+"/x.log, stdout: true}") }},
		"W024": {bad: func(w *world) { w.set("audit", "{log: "+w.dir+"/x.log, max_size_mib: 9}") }, good: func(w *world) { w.set("audit", "{log: "+w.dir+"/x.log, max_size_mib: 10, keep: 9}") }},
		"W025": {bad: func(w *world) { w.env, w.yaml["secret_key"] = nil, config.GenerateKey().Reveal() }, good: func(*world) {}},
		"W026": {bad: func(w *world) {
			w.env = append(w.env, "MERLON_SECRET_KEY_PREVIOUS_FILE="+w.file("previous", config.GenerateKey().Reveal(), 0o600))
		}, good: func(*world) {}},
		"W027": {bad: setting("hosts", `[api.example.com, 192.0.2.7, "::1", localhost]`), good: setting("hosts", "[api.example.com, localhost.example.com]"), n: 3},
		"W028": {bad: setting("security_contact", `""`), good: setting("security_contact", "https://example.com/security")},
		"W029": {bad: development("0.0.0.0:8443"), good: development("127.0.0.2:8443")},
		"W071": {bad: setting("connections", "{max: 1000}"), good: setting("connections", "{max: 1001}")},
		"W083": {bad: func(w *world) {
			w.set("audit", "{log: "+w.dir+"/x.log, file_only: {severity: high}, database_only: {outcomes: [failure, refused, would_refuse]}}")
		}, good: func(w *world) {
			w.set("audit", "{log: "+w.dir+"/x.log, file_only: {severity: medium}, database_only: {categories: [account]}}")
		}},
		"W080": {bad: acmeCertificate(request{-76, 14, "api.example.com", 0}), good: acmeCertificate(request{-74, 16, "api.example.com", 0})},
		"W081": {bad: setting("acme", "{domains: [api.example.com], terms_agreed: true, directory_url: \"https://acme-staging-v02.api.letsencrypt.org/directory\"}"),
			good: setting("acme", "{domains: [api.example.com], terms_agreed: true}")},
		"W082": {bad: setting("traces", `{endpoint: "http://collector:4318"}`), good: setting("traces", `{endpoint: "http://127.0.0.1:4318"}`)},
		"W070": {bad: setting("operations_listen", `":9090"`), good: setting("operations_listen", `"127.0.0.1:9090"`)},
		"W030": {bad: func(w *world) { w.file("merlon.yaml", "", 0o642) }, good: func(w *world) { w.file("merlon.yaml", "", 0o664) }},
		"W031": {bad: both(certificate(good), func(w *world) {
			chmod(w.t, filepath.Join(w.dir, "key.pem"), 0o644)
			w.env = []string{"MERLON_SECRET_KEY_FILE=" + w.file("secret", config.GenerateKey().Reveal(), 0o604)}
		}), good: both(certificate(good), func(w *world) {
			w.env = []string{"MERLON_SECRET_KEY_FILE=" + w.file("secret", config.GenerateKey().Reveal(), 0o640)}
		}), n: 2},
		"W032": {bad: func(w *world) {
			w.file("merlon.db", "", 0o640)
			w.file("security.log", "", 0o604)
			w.file("security.log.2", "", 0o640)
		}, good: func(w *world) {
			w.file("merlon.db", "", 0o600)
			w.file("security.log", "", 0o600)
			w.file("security.log.2", "", 0o600)
			w.file("security.logs", "", 0o640)
		}, n: 3},
		"W033": {bad: func(w *world) { w.set("database_url", "sqlite:"+w.directory("data", 0o777)+"/merlon.db") }, good: func(w *world) { w.set("database_url", "sqlite:"+w.directory("data", 0o775)+"/merlon.db") }},
		"W035": {bad: certificate(request{-61, 29, "api.example.com", 0}), good: certificate(request{-59, 31, "api.example.com", 0})},
		"W036": {bad: both(certificate(good), setting("hosts", "[api.example.com, other.example.com]")), good: certificate(good)},
		"W037": {bad: certificate(request{-10, 80, "api.example.com", 1024}), good: certificate(request{-10, 80, "api.example.com", 2048})},
		"W034": {bad: setting("rate_limits", limits(login, account, register, "{name: x, match: [POST /api/v1/api-keys], limit: 5, window: 1m, by: [account]}")),
			good: setting("rate_limits", limits(login, account, register, "{name: x, match: [POST /api/v1/api-keys], limit: 5, window: 1m, by: [principal]}"))},
		"W038": {bad: setting("insecure_shadow", "{controls: [csrf, cors], reason: trying}"), good: setting("insecure_shadow", "{controls: []}"), n: 2},
		"W039": {bad: setting("insecure_shadow", "{controls: [authn], reason: trying}"), good: setting("insecure_shadow", "{controls: []}")},
		"W040": {bad: setting("cors", "{debug: true}"), good: setting("cors", "{debug: false}")},
		"W041": {bad: both(setting("origins", "[https://app.example.com]"), setting("cors", "{insecure_private_network: the intranet}")), good: setting("cors", "{insecure_private_network: the intranet}")},
		"W045": {bad: setting("rate_limits", "{ipv6_prefix: 65}"), good: setting("rate_limits", "{ipv6_prefix: 64}")},
		"W046": {bad: setting("rate_limits", limits(login, account, register, "{name: x, match: [GET /x], limit: 1001, window: 1m, by: [address]}")),
			good: setting("rate_limits", limits(login, account, register, "{name: x, match: [GET /x], limit: 1000, window: 1m, by: [address]}"))},
		"W042": {bad: setting("tokens", "{algorithm: HS256}"), good: setting("tokens", "{algorithm: RS256}")},
		"W043": {bad: setting("tokens", "{access_ttl: 31m}"), good: setting("tokens", "{access_ttl: 30m}")},
		"W044": {bad: setting("tokens", "{refresh_ttl: 721h}"), good: setting("tokens", "{refresh_ttl: 720h}")},
	}
	postgres := func(user, password, rest string) func(*world) {
		return func(w *world) {
			w.env = append(w.env, "MERLON_DATABASE_URL_FILE="+w.file("database_url", "postgres://"+user+":"+password+"@"+rest, 0o600))
			delete(w.yaml, "database_url")
		}
	}
	redis := func(url string) func(*world) {
		return func(w *world) { w.env = append(w.env, "MERLON_REDIS_URL_FILE="+w.file("redis_url", url, 0o600)) }
	}
	random := config.GenerateKey().Reveal()
	origins := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("\"https://a%d.example.com\"", i))
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	variable := func(e string) func(*world) { return func(w *world) { w.more = []string{e} } }
	exempt := func(list string) func(*world) {
		return setting("rate_limits", "{insecure_exempt: {addresses: ["+list+"], reason: why}}")
	}
	strangers := func(w *world) { // files of an account that neither serves nor is root
		if os.Geteuid() == 0 {
			for _, file := range []string{w.file("merlon.yaml", "", 0o640), filepath.Join(w.dir, "secret_key")} {
				if err := os.Chown(file, 4243, -1); err != nil {
					w.t.Fatal(err)
				}
			}
		}
		w.uid = 4242
	}
	maps.Copy(rows, map[string]pair{
		"W047": {bad: setting("check", "{silence: [{id: merlon.W022, reason: why, until: 2026-03-02}]}"), good: both(setting("sessions", "{absolute_timeout: 48h}"), setting("check", "{silence: [{id: merlon.W022, reason: why, until: 2026-03-02}]}")), quiet: true},
		"W048": {bad: both(postgres("merlon", random, "127.0.0.1/merlon"), redis("redis://:"+random+"@127.0.0.1")), good: both(postgres("merlon", random, "127.0.0.1/merlon"), redis("redis://:"+config.GenerateKey().Reveal()+"@127.0.0.1"))},
		"W049": {bad: both(postgres("merlon", "Merlon", "127.0.0.1/merlon"), redis("redis://:"+random[:15]+"@127.0.0.1")), good: both(postgres("merlon", random[:16], "127.0.0.1/merlon"), redis("redis://127.0.0.1")), n: 2},
		"W050": {bad: redis("rediss://redis.example.com"), good: redis("rediss://:" + random + "@redis.example.com")},
		"W051": {bad: both(postgres("merlon", random, "db.example.com/merlon?sslmode=disable"), redis("redis://:"+random[1:]+"@10.0.0.9")), good: both(postgres("merlon", random, "[::1]/merlon?sslmode=disable"), redis("redis://:"+random[1:]+"@localhost")), n: 2},
		"W052": {bad: postgres("merlon", random, "db.example.com/merlon?sslmode=verify-ca"), good: postgres("merlon", random, "db.example.com/merlon?sslmode=verify-full")},
		"W053": {bad: postgres("postgres", random, "db.example.com/merlon"), good: postgres("postgres_merlon", random, "db.example.com/merlon")},
		"W054": {bad: strangers, good: both(strangers, func(w *world) {
			w.uid = 4243
			if os.Geteuid() > 0 {
				w.uid = os.Geteuid()
			}
		}), n: 2},
		"W055": {bad: func(w *world) {
			w.directory("open", 0o777)
			w.env = []string{"MERLON_SECRET_KEY_FILE=" + w.file("open/secret", config.GenerateKey().Reveal(), 0o640)}
		}, good: func(w *world) {
			w.directory("open", 0o777|fs.ModeSticky)
			w.env = []string{"MERLON_SECRET_KEY_FILE=" + w.file("open/secret", config.GenerateKey().Reveal(), 0o640)}
		}},
		"W056": {bad: setting("origins", origins(21)), good: setting("origins", origins(20))},
		"W057": {bad: setting("listen", `":8443"`), good: both(certificate(good), setting("listen", `":8443"`))},
		"W058": {bad: exempt(`10.0.0.0/24, "2001:db8::/64"`), good: setting("rate_limits", "{insecure_exempt: {addresses: []}}"), n: 2},
		"W059": {bad: exempt(`10.0.0.0/23, "2001:db8::/63"`), good: setting("rate_limits", "{insecure_exempt: {addresses: []}}"), n: 2},
		"W060": {bad: func(w *world) { w.signed(good, elliptic.P256()) }, good: certificate(good)},
		"W061": {bad: func(w *world) { w.late = 5*time.Minute + time.Second }, good: func(w *world) { w.late = 5 * time.Minute }},
		"W062": {bad: func(w *world) { w.set("audit", "{log: "+w.dir+"/x.log, keep_for: 2159h, database_keep_for: 2159h}") }, good: func(w *world) { w.set("audit", "{log: "+w.dir+"/x.log, keep_for: 2160h, database_keep_for: 2160h}") }, n: 2},
		"W063": {bad: func(w *world) { w.set("audit", "{log: "+w.dir+"/x.log, checkpoint_interval: 601s}") }, good: func(w *world) { w.set("audit", "{log: "+w.dir+"/x.log, checkpoint_interval: 10m}") }},
		"W064": {bad: func(w *world) { w.uid = 0 }, good: func(w *world) { w.uid = -1 }},
		"W065": {bad: variable("GOTRACEBACK=crash"), good: variable("GOTRACEBACK=all")},
		"W066": {bad: variable("GODEBUG=madvdontneed=1,tlsrsakex=1,http2debug=2"), good: variable("GODEBUG=madvdontneed=1,tlsrsakex=0"), n: 2},
		"W068": {bad: both(setting("connections", "{max: 2000}"), func(w *world) { w.open = 2099 }), good: both(setting("connections", "{max: 2000}"), func(w *world) { w.open = 2100 })},
		"W069": {bad: func(w *world) {
			w.env = []string{"MERLON_SECRET_KEY=" + config.GenerateKey().Reveal(), "MERLON_DATABASE_URL=postgres://merlon:" + random + "@127.0.0.1/merlon"}
			delete(w.yaml, "database_url")
		}, good: func(w *world) {
			w.env = append(w.env, "MERLON_DATABASE_URL=postgres://merlon@127.0.0.1/merlon") // no password
			delete(w.yaml, "database_url")
		}, n: 2},
		"W067": {bad: setting("rate_limits", bare(login, account, register)), good: setting("rate_limits", bare(login, account, register, with(reports, "POST /reports", `"POST /{any}"`)))},
	})
	// What depends on another choice has more than one finding.
	pairs := map[string]bool{"W006": true}
	for _, d := range findings.Docs() {
		id := strings.TrimPrefix(d.ID, "merlon.")
		if _, ok := rows[id]; !ok && !pairs[id] && id[0] == 'W' {
			t.Errorf("%s has no row here", d.ID)
		}
	}
	for id, row := range rows {
		t.Run(id, func(t *testing.T) {
			bad := newWorld(t)
			row.bad(bad)
			bad.want("merlon."+id, max(row.n, 1))
			clean := newWorld(t)
			row.good(clean)
			if row.quiet {
				if found := clean.check(); len(found) != 1 || found[0].Silenced == nil {
					t.Error(lines(found))
				}
				return
			}
			clean.want("", 0)
		})
	}
	t.Run("a weak key of another kind", func(t *testing.T) {
		w := newWorld(t).signed(good, elliptic.P224())
		if got := idsOf(w.check()); got != "merlon.W037 merlon.W060" {
			t.Error(got)
		}
	})
	t.Run("W006", func(t *testing.T) {
		for cost, want := range map[string]string{"11": "merlon.W006 merlon.W005", "12": "merlon.W005"} {
			w := newWorld(t).set("password", "{min_length: 15, algorithm: bcrypt, bcrypt_cost: "+cost+"}")
			if got := idsOf(w.check()); got != want {
				t.Errorf("cost %s: %s, want %s", cost, got, want)
			}
		}
		newWorld(t).set("password", "{min_length: 15, bcrypt_cost: 10}").want("", 0)
	})
}

func idsOf(found []findings.Finding) string {
	var ids []string
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	return strings.Join(ids, " ")
}

// What a team writes that follows the documents: hosts, secret_key, tls.
func TestTheDefaultProductionConfigurationHasNothingAboveLow(t *testing.T) {
	w := newWorld(t).certificate(request{-10, 80, "api.example.com", 0})
	for _, name := range []string{"listen", "trusted_proxies", "password", "security_contact"} {
		delete(w.yaml, name)
	}
	for _, key := range []string{"environment", "file"} {
		if key == "file" {
			w.env, w.yaml["secret_key"] = nil, config.GenerateKey().Reveal()
		}
		found := w.check()
		if len(found) == 0 {
			t.Error("nothing is found, not even what is low: the world is not judged")
		}
		for _, f := range found {
			if f.Severity.AtLeast(findings.Medium) {
				t.Errorf("the key in the %s: %+v", key, f)
			}
		}
	}
}

func TestDevelopmentOnThisMachineHasNoFindings(t *testing.T) {
	w := newWorld(t)
	w.yaml = map[string]string{"environment": "development", "rate_limits": "{on_store_error: allow}", "sessions": "{absolute_timeout: 720h}"}
	w.env = nil
	w.want("", 0)
}

func TestAShortLivedCertificateIsNotAlwaysAtItsEnd(t *testing.T) {
	newWorld(t).certificate(request{-5, 3, "api.example.com", 0}).want("", 0)
	newWorld(t).certificate(request{-5, 1, "api.example.com", 0}).want("merlon.W035", 1)
	newWorld(t).certificate(request{1, 90, "api.example.com", 0}).want("merlon.E053", 1)
}

// acmeCertificate is a world whose authority issued this once.
func acmeCertificate(r request) func(*world) {
	return func(w *world) {
		w.t.Helper()
		w.certificate(r)
		delete(w.yaml, "tls")
		storage := filepath.Join(w.dir, "acme")
		kept := acme.File(storage, config.LetsEncrypt, "api.example.com")
		if err := os.MkdirAll(filepath.Dir(kept), 0o700); err != nil {
			w.t.Fatal(err)
		}
		var text []byte
		for _, name := range []string{"key.pem", "cert.pem"} {
			part, err := os.ReadFile(filepath.Join(w.dir, name))
			if err != nil {
				w.t.Fatal(err)
			}
			text = append(text, part...)
		}
		if err := os.WriteFile(kept, text, 0o600); err != nil {
			w.t.Fatal(err)
		}
		w.set("acme", "{domains: [api.example.com], terms_agreed: true, storage: "+storage+"}")
	}
}

// What is said of certificates in files is said of those of an authority.
func TestCertificatesOfAnAuthorityAreJudgedToo(t *testing.T) {
	w := newWorld(t)
	acmeCertificate(request{-10, 80, "api.example.com", 0})(w)
	w.want("", 0)
	w.set("hosts", "[api.example.com, other.example.com]").want("merlon.W036", 1)
	w.set("hosts", "[api.example.com]")
	chmod(t, acme.File(filepath.Join(w.dir, "acme"), config.LetsEncrypt, "api.example.com"), 0o604)
	w.want("merlon.W031", 1)
}

// Of several rules over a route the tightest binds, and one that counts all clients
// together, or by a part that the client chooses, is none by address.
func TestTheTightestRuleByAddressBinds(t *testing.T) {
	loose := with(with(login, "limit: 5", "limit: 500"), "name: login", "name: loose")
	newWorld(t).set("rate_limits", limits(loose, login, account, register)).want("", 0)
	newWorld(t).set("rate_limits", limits(login, loose, account, register)).want("", 0)
	together := with(login, "[address]", "[route]")
	found := newWorld(t).set("rate_limits", limits(together, account, register)).check()
	want := "merlon.W015" + strings.Repeat(" merlon.W017", len(config.PasswordRoutes()))
	if got := idsOf(found); got != want {
		t.Errorf("%s, want %s: %s", got, want, lines(found))
	}
}

// Errors are findings too, and the worst come first.
func TestErrorsAreCriticalAndFirst(t *testing.T) {
	w := newWorld(t).set("security_contact", `""`).set("sessions", "{absolute_timeout: 48h}").set("listem", "x")
	found := w.check()
	if got := idsOf(found); got != "merlon.E003 merlon.W022 merlon.W028" || found[0].Severity != findings.Critical {
		t.Errorf("%s: %s", got, lines(found))
	}
}

// The value of a setting with a problem is its default, which is not what was written.
func TestASettingWithAProblemIsNotJudged(t *testing.T) {
	newWorld(t).set("security_contact", "nobody").want("merlon.E025", 1)
	newWorld(t).set("password", "{min_length: 7}").want("merlon.E008", 1)
}

func TestAFileThatCannotBeReadIsTheOnlyFinding(t *testing.T) {
	set, places, problems := config.LoadPlaces(config.Source{File: filepath.Join(t.TempDir(), "absent.yaml")})
	found := findings.Check(findings.Input{Settings: set, Places: places, Problems: problems})
	if got := idsOf(found); got != "merlon.E001" {
		t.Error(got)
	}
}

func TestPlacesAreThoseOfTheEntries(t *testing.T) {
	w := newWorld(t).set("origins", "\n  - https://a.example\n  - https://localhost\n").set("security_contact", `""`)
	w.env = append(w.env, "MERLON_HOSTS=localhost")
	delete(w.yaml, "security_contact")
	file := filepath.Join(w.dir, "merlon.yaml")
	want := map[string]string{"merlon.W009": file + ":7", "merlon.W027": "MERLON_HOSTS", "merlon.W028": "settings"}
	found := w.check()
	if len(found) != len(want) {
		t.Errorf("%s", lines(found))
	}
	for _, f := range found {
		if f.Where != want[f.ID] {
			t.Errorf("%s is at %s, want %s", f.ID, f.Where, want[f.ID])
		}
	}
}

// Whatever the files hold, nothing of it is in a finding; a key that was written
// where its path belongs is not repeated.
func TestNoFindingHoldsWhatIsInAFile(t *testing.T) {
	const marker = "plover5quux7xyzzy9grault0"
	secret := config.GenerateKey().Reveal()
	for name, spoil := range map[string]func(*world){
		"a certificate that is none": func(w *world) {
			w.set("tls", "{cert: "+w.file("cert.pem", marker, 0o644)+", key: "+w.file("key.pem", marker, 0o644)+"}")
		},
		"a key with another header": func(w *world) {
			w.certificate(request{-10, 80, "api.example.com", 0})
			w.file("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "SSH KEY", Headers: map[string]string{"Comment": marker}, Bytes: []byte(marker)})), 0o644)
		},
		"a key in place of its path": func(w *world) { w.set("tls", "{cert: "+marker+", key: "+marker+"}") },
		"a readable secret": func(w *world) {
			w.env = []string{"MERLON_SECRET_KEY_FILE=" + w.file("secret", secret, 0o666)}
		},
		"a secret in place of its path": func(w *world) { w.env = []string{"MERLON_SECRET_KEY_FILE=" + secret} },
		"a secret in the settings file": func(w *world) { w.env = nil; w.set("secret_key", secret); w.file("merlon.yaml", "", 0o646) },
		"a former secret":               func(w *world) { w.set("secret_key_previous", "["+secret+"]") },
		"a secret among the hosts":      func(w *world) { w.set("hosts", "["+secret+"]") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			spoil(w)
			found := w.check()
			if len(found) == 0 {
				t.Error("nothing is found: the marker does not reach the code")
			}
			if out := lines(found); strings.Contains(out, marker) || strings.Contains(out, secret) {
				t.Error(out)
			}
		})
	}
}

// A platform mounts its secrets readable; nobody else sees them.
func TestWhatAPlatformMountsIsNotJudgedByItsMode(t *testing.T) {
	for path, want := range map[string]bool{"/run/secrets/secret_key": true, "/run/secrets/../x": false, "/run/secrets": false, "/run/secretsx/key": false, "run/secrets/key": false} {
		if findings.IsMounted(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
