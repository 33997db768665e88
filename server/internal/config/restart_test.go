package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestWhatTakesARestartIsASettingWithAReason(t *testing.T) {
	var names []string
	for _, f := range settings() {
		names = append(names, f.name)
	}
	for _, r := range restarts() {
		known := func(name string) bool { return name == r.Name || strings.HasPrefix(name, r.Name+".") }
		if !slices.ContainsFunc(names, known) || r.Why == "" {
			t.Errorf("%+v is no setting or section, or has no reason", r)
		}
	}
	// What an operator expects to change while it serves, and what cannot.
	for name, restart := range map[string]bool{
		"listen": true, "database_url": true, "redis_url": true, "audit.log": true, "environment": true, "operations_listen": true, "audit.file_only.severity": true,
		"secret_key": false, "secret_key_previous": false, "origins": false, "hosts": false, "trusted_proxies": false,
		"rate_limits.rules": false, "tls.cert": false, "connections.max": false, "insecure_shadow.controls": false,
	} {
		if got := NeedsRestart(name) != ""; got != restart {
			t.Errorf("%s takes a restart: %v, want %v", name, got, restart)
		}
	}
}

func TestThePageOfTheOperatorListsWhatTakesARestart(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Reload\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, section, _ = strings.Cut(section, "of them:\n\n")
	section, _, _ = strings.Cut(section, "\n\n")
	var listed []string
	for _, m := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(section, -1) {
		listed = append(listed, m[1])
	}
	want := []string{"tls.cert"} // of a kind
	for _, r := range restarts() {
		want = append(want, r.Name)
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("docs/operating.md lists\n%q, want\n%q", listed, want)
	}
}

func TestRestartsAreTheChangesThatTakeOne(t *testing.T) {
	a := defaults(Production)
	b := a
	b.Origins, b.TLS = []string{"https://app.example.com"}, TLS{}
	if got := Restarts(a, b); got != nil {
		t.Errorf("%+v, want none", got)
	}
	b.Listen, b.Audit.Keep = ":1", 3
	if got := Restarts(a, b); len(got) != 2 || got[0].Name != "listen" || got[1].Name != "audit.keep" {
		t.Errorf("%+v, want listen and audit.keep", got)
	}
	a.TLS, b = TLS{Cert: "a.pem", Key: "a.key"}, defaults(Production)
	if got := Restarts(a, b); len(got) != 1 || got[0].Name != "tls.cert" {
		t.Errorf("from TLS to clear text: %+v", got)
	}
	b.TLS = TLS{Cert: "b.pem", Key: "b.key"}
	if got := Restarts(a, b); got != nil {
		t.Errorf("from one certificate to another: %+v, want none", got)
	}
}

func TestAGeneratedKeyIsKept(t *testing.T) {
	a, b := defaults(Development), defaults(Development)
	a.SecretKey, a.SecretKeyGenerated = GenerateKey(), true
	b.SecretKey, b.SecretKeyGenerated = GenerateKey(), true
	b.KeepGenerated(a)
	if !b.SecretKey.Equal(a.SecretKey) {
		t.Error("a generated key is another after a reload")
	}
	b.SecretKey, b.SecretKeyGenerated = GenerateKey(), false
	b.KeepGenerated(a)
	if b.SecretKey.Equal(a.SecretKey) {
		t.Error("a key that was written is not taken")
	}
}
