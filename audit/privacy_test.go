package audit_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/audit"
)

func TestPrivacyOfAddresses(t *testing.T) {
	for _, c := range []struct{ form, in, want string }{
		{"", "192.0.2.77", "192.0.2.77"},
		{"whole", "192.0.2.77", "192.0.2.77"},
		{"truncated", "192.0.2.77", "192.0.2.0/24"},
		{"truncated", "192.0.2.0/24", "192.0.2.0/24"},
		{"truncated", "::ffff:192.0.2.77", "192.0.2.0/24"},
		{"truncated", "2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"},
		{"truncated", "fe80::1%eth0", "fe80::/48"},
		{"truncated", "not an address", ""},
		{"truncated", "", ""},
	} {
		p, err := audit.NewPrivacy(audit.PrivacyConfig{Addresses: audit.Form(c.form)})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Address(c.in); got != c.want {
			t.Errorf("%s %q became %q, want %q", c.form, c.in, got, c.want)
		}
	}
}

func TestPrivacyHashesWithAKey(t *testing.T) {
	hashes := map[string]bool{}
	for _, secret := range [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)} {
		p, err := audit.NewPrivacy(audit.PrivacyConfig{Addresses: audit.Hashed, Names: audit.Hashed, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		one := p.Address("192.0.2.77")
		if one != p.Address("192.0.2.77") || one != p.Address(one) || len(one) != 27 || !strings.HasPrefix(one, "hmac_") {
			t.Errorf("hash %q is not stable", one)
		}
		for _, h := range []string{one, p.Address("192.0.2.78"), p.Name("usr_1")} {
			if hashes[h] {
				t.Errorf("%s twice", h)
			}
			hashes[h] = true
		}
		if p.Name("") != "" {
			t.Error("nobody has a hash")
		}
	}
}

func TestPrivacyRefuses(t *testing.T) {
	_, err := audit.NewPrivacy(audit.PrivacyConfig{Addresses: "half", Names: audit.Truncated})
	for _, want := range []string{`Addresses is "half"`, `Names is "truncated"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if _, err = audit.NewPrivacy(audit.PrivacyConfig{Names: audit.Hashed, Secret: make([]byte, 31)}); err == nil {
		t.Error("a short secret is no error")
	}
}

func TestPrivacyReachesEverySinkAndNoCaller(t *testing.T) {
	privacy, err := audit.NewPrivacy(audit.PrivacyConfig{Addresses: audit.Truncated, Names: audit.Hashed, Secret: chainSecret()})
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeSink{}
	p := open(t, audit.Config{Privacy: privacy}, to(s))
	e := named("1")
	e.Address, e.Principal = "192.0.2.77", "usr_ada"
	e.Detail = []slog.Attr{slog.String("address", "192.0.2.77"), slog.String("owner", "usr_ada"), slog.String("note", "kept"), slog.Int("account", 1)}
	p.Record(e)
	if err := p.Commit(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	closed(t, p)
	if len(s.lines) != 2 {
		t.Fatal(s.lines)
	}
	for _, line := range s.lines {
		if strings.Contains(line, "192.0.2.77") || strings.Contains(line, "usr_ada") || !strings.Contains(line, `"address":"192.0.2.0/24"`) ||
			!strings.Contains(line, `"note":"kept","account":1`) || !strings.Contains(line, `"principal":"hmac_`) || !strings.Contains(line, `"owner":"hmac_`) {
			t.Errorf("line %s", line)
		}
	}
	if e.Detail[0].Value.String() != "192.0.2.77" {
		t.Error("the caller's event was changed")
	}
}
