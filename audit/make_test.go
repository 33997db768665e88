package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
)

// Each function that makes events, with what is fixed about them. The types are spelt out
// as in the log.
func made() []struct {
	name                              string
	event                             audit.Event
	kind, category, severity, outcome string
	detail                            string
} {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	client, network := netip.MustParseAddr("192.0.2.7"), netip.MustParsePrefix("192.0.2.0/24")
	scopes := []string{"posts:read"}
	return []struct {
		name                              string
		event                             audit.Event
		kind, category, severity, outcome string
		detail                            string
	}{
		{"LoginSucceeded", audit.LoginSucceeded("usr_1"), "authn_login_success", "authentication", "info", "success", ``},
		{"LoginSucceededAfterFailures", audit.LoginSucceededAfterFailures("usr_1"), "authn_login_successafterfail", "authentication", "info", "success", ``},
		{"LoginFailed", audit.LoginFailed("usr_1", "wrong_password"), "authn_login_fail", "authentication", "low", "failure", `"reason":"wrong_password"`},
		{"PasswordChanged", audit.PasswordChanged("usr_1"), "authn_password_change", "authentication", "info", "success", ``},
		{"PasswordChangeFailed", audit.PasswordChangeFailed("usr_1", "wrong_password"), "authn_password_change_fail", "authentication", "low", "failure", `"reason":"wrong_password"`},
		{"TokenIssued", audit.TokenIssued("usr_1", "ses_1", "password", "tok_1"), "authn_token_created", "authentication", "info", "success", `"grant_type":"password","token_id":"tok_1","session_id":"ses_1"`},
		{"TokenRejected", audit.TokenRejected("", "", "refresh_token", "unknown"), "authn_token_rejected", "authentication", "medium", "failure", `"credential":"refresh_token","reason":"unknown"`},
		{"TokenRejected", audit.TokenRejected("usr_1", "ses_1", "refresh_token", "expired"), "authn_token_rejected", "authentication", "low", "failure", `"credential":"refresh_token","reason":"expired","session_id":"ses_1"`},
		{"TokenReused", audit.TokenReused("usr_1", "ses_1", "refresh_token"), "authn_token_reuse", "authentication", "high", "failure", `"credential":"refresh_token","reason":"reused","session_id":"ses_1"`},
		{"SessionBegun", audit.SessionBegun("usr_1", "ses_1"), "session_created", "session", "info", "success", `"session_id":"ses_1"`},
		{"SessionLoggedOut", audit.SessionLoggedOut("usr_1", "ses_1"), "session_logout", "session", "info", "success", `"session_id":"ses_1"`},
		{"SessionEnded", audit.SessionEnded("usr_1", "ses_1"), "session_revoked", "session", "info", "success", `"session_id":"ses_1"`},

		{"AccountCreated", audit.AccountCreated("usr_1", "admin", "command line"), "user_created", "account", "info", "success", `"by":"command line","role":"admin"`},
		{"AccountUpdated", audit.AccountUpdated("usr_1"), "user_updated", "account", "info", "success", ``},
		{"AccountDisabled", audit.AccountDisabled("usr_1", "command line"), "user_updated", "account", "high", "success", `"by":"command line","change":"disabled"`},
		{"AccountEnabled", audit.AccountEnabled("usr_1", "command line"), "user_updated", "account", "info", "success", `"by":"command line","change":"enabled, with another password"`},
		{"KeyCreated", audit.KeyCreated("key_1", "usr_1", scopes), "apikey_created", "api_key", "info", "success", `"key_id":"key_1","owner":"usr_1","scopes":["posts:read"]`},
		{"KeyUpdated", audit.KeyUpdated("key_1", "usr_1", scopes), "apikey_updated", "api_key", "info", "success", `"key_id":"key_1","owner":"usr_1","scopes":["posts:read"]`},
		{"KeyRotated", audit.KeyRotated("key_2", "usr_1", scopes, "key_1"), "apikey_rotated", "api_key", "info", "success", `"key_id":"key_2","owner":"usr_1","scopes":["posts:read"],"replaces":"key_1"`},
		{"KeyRevoked", audit.KeyRevoked("key_1", "usr_1", scopes), "apikey_revoked", "api_key", "info", "success", `"key_id":"key_1","owner":"usr_1","scopes":["posts:read"]`},
		{"KeyFirstUsed", audit.KeyFirstUsed("key_1"), "apikey_used_first", "api_key", "info", "success", `"key_id":"key_1"`},

		{"CredentialStuffing", audit.CredentialStuffing(at, client, network, 25), "suspicious_credential_stuffing", "suspicious_activity", "high", "failure", `"prefix":"192.0.2.0/24","accounts":25`},
		{"PasswordSpraying", audit.PasswordSpraying(at, client, 20), "suspicious_password_spraying", "suspicious_activity", "high", "failure", `"accounts":20`},
		{"DistributedLogin", audit.DistributedLogin(at, client, "usr_1", 15), "suspicious_distributed_login", "suspicious_activity", "high", "failure", `"prefixes":15`},
		{"PathScan", audit.PathScan(at, client, network, 40), "malicious_excess_404", "suspicious_activity", "medium", "failure", `"prefix":"192.0.2.0/24","paths":40`},
		{"CanaryTouched", audit.CanaryTouched(at, client, network, "", "path", "/old"), "suspicious_canary", "suspicious_activity", "high", "failure", `"prefix":"192.0.2.0/24","canary":"path","name":"/old"`},
		{"MarkupFound", audit.MarkupFound("validate", "/title", "markup", "script", false), "suspicious_content", "suspicious_activity", "low", "success", `"control":"validate","pointer":"/title","kind":"markup","found":"script"`},
		{"ContentFound", audit.ContentFound("validate", "/title", "invisible", "U+202E", true), "suspicious_content", "suspicious_activity", "medium", "refused", `"control":"validate","pointer":"/title","kind":"invisible","found":"U+202E"`},
		{"SQLFound", audit.SQLFound("validate", "/content", "sql", "s&1", false), "malicious_sqli", "suspicious_activity", "low", "success", `"control":"validate","pointer":"/content","kind":"sql","found":"s&1"`},
		{"PolicyViolated", audit.PolicyViolated("https://app.example.com/", "script-src", "inline", "enforce", true), "malicious_csp_violation", "suspicious_activity", "medium", "refused", `"document":"https://app.example.com/","directive":"script-src","blocked":"inline","disposition":"enforce"`},
		{"PolicyViolated", audit.PolicyViolated("https://app.example.com/", "script-src", "inline", "report", false), "malicious_csp_violation", "suspicious_activity", "medium", "would_refuse", `"document":"https://app.example.com/","directive":"script-src","blocked":"inline","disposition":"report"`},
		{"ForeignObject", audit.ForeignObject("A caller tried to change a post of another account."), "malicious_direct_reference", "suspicious_activity", "low", "refused", ``},

		{"Started", audit.Started("1.2.3", "production"), "sys_startup", "system", "info", "success", `"version":"1.2.3","environment":"production"`},
		{"Stopped", audit.Stopped(), "sys_shutdown", "system", "info", "success", ``},
		{"LogTorn", audit.LogTorn(), "sys_crash", "system", "high", "failure", ``},
		{"Misconfigured", audit.Misconfigured("merlon.N001", slog.String("header", "Forwarded")), "sys_misconfigured", "system", "low", "failure", `"id":"merlon.N001","header":"Forwarded"`},
		{"MonitorDisabled", audit.MonitorDisabled("csrf", "shadow", "new client"), "sys_monitor_disabled", "system", "high", "success", `"control":"csrf","mode":"shadow","reason":"new client"`},
		{"ConfigChanged", audit.ConfigChanged("certificate"), "sys_config_changed", "system", "info", "success", `"what":"certificate"`},
		{"ConfigRefused", audit.ConfigRefused("settings"), "sys_config_changed", "system", "medium", "failure", `"what":"settings"`},
		{"StoreLost", audit.StoreLost("redis", "refused", "local"), "sys_degraded", "system", "high", "failure", `"store":"redis","reason":"refused","on_store_error":"local"`},
		{"StoreBack", audit.StoreBack("redis", 1500*time.Millisecond, 7), "sys_recovered", "system", "info", "success", `"store":"redis","away_ms":1500,"calls_skipped":7`},
		{"CertificateNotObtained", audit.CertificateNotObtained("api.example.com", "rate_limited"), "sys_degraded", "system", "high", "failure", `"what":"certificate","host":"api.example.com","reason":"rate_limited"`},
		{"CertificatesObtained", audit.CertificatesObtained("api.example.com"), "sys_recovered", "system", "info", "success", `"what":"certificate","host":"api.example.com"`},
		{"DatabaseLost", audit.DatabaseLost("postgres"), "sys_degraded", "system", "high", "failure", `"store":"postgres"`},
		{"DatabaseBack", audit.DatabaseBack("postgres", 1500*time.Millisecond, 7), "sys_recovered", "system", "info", "success", `"store":"postgres","away_ms":1500,"calls_skipped":7`},

		{"Verdict", audit.Verdict("authz_fail", "", "refused", slog.String("code", "forbidden")), "authz_fail", "authorization", "low", "refused", `"code":"forbidden"`},
		{"Verdict", audit.Verdict("malicious_csrf", "low", "would_refuse"), "malicious_csrf", "suspicious_activity", "low", "would_refuse", ``},
	}
}

func TestEveryFunctionMakesAnEventOfTheSchema(t *testing.T) {
	schema := readSchema(t)
	unseen := makers(t)
	for _, m := range made() {
		delete(unseen, m.name)
		e := m.event.Complete()
		if got := [...]string{string(e.Type), string(e.Category), string(e.Severity), string(e.Outcome)}; got != [...]string{m.kind, m.category, m.severity, m.outcome} {
			t.Errorf("%s makes %q", m.name, got)
		}
		if got := string(audit.AppendDetail(nil, e.Detail)); got != "{"+m.detail+"}" {
			t.Errorf("%s has the detail %s", m.name, got)
		}
		if e.Description == "" {
			t.Errorf("%s has no description", m.name)
		}
		e.ID, e.Time = "evt_1", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		schema.checkLine(t, audit.AppendJSON(nil, e))
	}
	for name := range unseen {
		t.Errorf("%s is not tested", name)
	}
}

// makers are the functions of the files make*.go that others can call, by name.
func makers(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, f := range parsed(t) {
		if !strings.HasPrefix(f.name, "make") {
			continue
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.IsExported() {
				names[fn.Name.Name] = true
			}
		}
	}
	if len(names) < 30 {
		t.Fatalf("%d functions: the test looks in the wrong place", len(names))
	}
	return names
}

type source struct {
	name string
	*ast.File
}

// parsed returns the sources of the package without its tests.
func parsed(t *testing.T) []source {
	t.Helper()
	var list []source
	set := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, source{name, f})
	}
	return list
}

// What an event of a type says is said for each: a type without a sentence is one that
// was forgotten, and [audit.NewKind] would let others have it.
func TestEveryTypeHasADescriptionAndIsMadeOrRefused(t *testing.T) {
	types := map[string]string{} // value by name
	for _, f := range parsed(t) {
		ast.Inspect(f.File, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if id, is := specType(spec, ok); is && id == "Type" {
				for i, name := range spec.Names {
					value, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					types[name.Name] = value
				}
			}
			return true
		})
	}
	if len(types) < 40 {
		t.Fatalf("%d types: the test looks in the wrong place", len(types))
	}
	// What stages refuse with, by exchange.Refuse, and what the pipeline tells of itself.
	elsewhere := []string{"authn_credential_in_clear", "excess_rate_limit_exceeded", "input_validation_fail", "malicious_cors",
		"session_use_after_expire", "apikey_rejected", "sys_log_checkpoint"}
	for _, m := range made() {
		elsewhere = append(elsewhere, m.kind)
	}
	for name, value := range types {
		if audit.Type(value).Description() == "" {
			t.Errorf("%s has no description", name)
		}
		if !slices.Contains(elsewhere, value) {
			t.Errorf("no function makes events of type %s: write one in make*.go", name)
		}
	}
	values := slices.Sorted(maps.Values(types))
	if len(slices.Compact(values)) != len(types) {
		t.Error("two types have one name")
	}
}

func specType(spec *ast.ValueSpec, ok bool) (string, bool) {
	if !ok || spec.Type == nil {
		return "", false
	}
	id, is := spec.Type.(*ast.Ident)
	if !is {
		return "", false
	}
	return id.Name, true
}

func TestWithAddsToACopyOfTheDetail(t *testing.T) {
	shared := make([]slog.Attr, 0, 4)
	shared = append(shared, slog.String("a", "1"))
	e := audit.Verdict("authz_fail", "", audit.Refused, shared...)
	one, two := e.With(slog.String("b", "1")), e.With(slog.String("b", "2"))
	if got := string(audit.AppendDetail(nil, one.Detail)); got != `{"a":"1","b":"1"}` {
		t.Errorf("the first has %s", got)
	}
	if got := string(audit.AppendDetail(nil, two.Detail)); got != `{"a":"1","b":"2"}` {
		t.Errorf("the second has %s", got)
	}
	if e.NotDone().Outcome != audit.Failure || e.Outcome != audit.Refused {
		t.Error("NotDone is of the event that it returns")
	}
}
