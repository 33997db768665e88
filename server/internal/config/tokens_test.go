package config_test

import "testing"

// What was derived from the address to listen on follows it; what was written stays.
func TestTheIssuerFollowsTheAddressThatIsTaken(t *testing.T) {
	for _, row := range []struct{ yaml, issuer, audience string }{
		{"environment: development\nlisten: \"127.0.0.1:0\"", "http://127.0.0.1:4321", "http://127.0.0.1:4321"},
		{"environment: development\nlisten: \"127.0.0.1:0\"\ntokens: {audience: all}", "http://127.0.0.1:4321", "all"},
		{"environment: development\nlisten: \"127.0.0.1:0\"\ntokens: {issuer: \"http://a.example\"}", "http://a.example", "http://a.example"},
		{production("listen: \"127.0.0.1:0\""), "https://api.example.com", "https://api.example.com"},
	} {
		s, _ := load(row.yaml)
		if issuer, audience := s.IssuerAt("127.0.0.1:4321"); issuer != row.issuer || audience != row.audience {
			t.Errorf("%q: %s and %s, want %s and %s", row.yaml, issuer, audience, row.issuer, row.audience)
		}
	}
}
