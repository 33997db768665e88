//go:build unix

package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// overTLS returns a client of the service by its name, whatever that resolves to.
func (s service) overTLS(t *testing.T, pool *x509.CertPool) client {
	t.Helper()
	tr := newTransport()
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.address)
	}
	tr.ForceAttemptHTTP2 = true
	tr.TLSClientConfig = &tls.Config{RootCAs: pool, ServerName: "api.example.com"}
	t.Cleanup(tr.CloseIdleConnections)
	return client{url: "https://api.example.com", transport: tr}
}

// oshpSuite is the suite of the OWASP Secure Headers Project, tests_suite.yml, as far as it is used.
type oshpSuite struct {
	TestCases []struct {
		Name  string
		Steps []struct {
			Method, URL string
			Assertions  []any // a text, or a mapping of "or" to a list of them
		}
	}
}

// The page after a logout has every header of the project's list, and passes all of
// its cases as they are written.
func TestOSHPHeaderCases(t *testing.T) {
	t.Parallel()
	vectors := os.Getenv("VECTORS_DIR")
	if vectors == "" {
		t.Skip("VECTORS_DIR is not set")
	}
	text, err := os.ReadFile(filepath.Join(vectors, "oshp", "tests_suite.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var suite oshpSuite
	if err := yaml.Unmarshal(text, &suite); err != nil {
		t.Fatal(err)
	}
	if n := len(suite.TestCases); n != 17 {
		t.Fatalf("the suite has %d cases, want 17", n)
	}
	dir := t.TempDir()
	pool := certificate(t, dir)
	config := write(t, dir, "merlon.yaml", productionTLS)
	s := startService(t, merlon("--config", config).in(dir))
	c := s.overTLS(t, pool)

	page := map[string]string{"{{.target_site}}": "/signed-out", "{{.target_site}}/{{.logout_url}}": "/signed-out"}
	for _, tc := range suite.TestCases {
		t.Run(tc.Name, func(t *testing.T) {
			for _, step := range tc.Steps {
				path, ok := page[step.URL]
				if !ok || len(step.Assertions) < 2 {
					t.Fatalf("not understood: %+v", step)
				}
				a, err := c.try(step.Method, path, nil)
				if err != nil {
					t.Fatal(err)
				}
				for _, assertion := range step.Assertions {
					if why := holds(a, assertion); why != "" {
						t.Error(why)
					}
				}
			}
		})
	}
	// What is said of no other page.
	for _, path := range []string{"/docs", "/csrf/token"} {
		if got := c.call(t, 200, "GET", path, nil).header.Get("Clear-Site-Data"); got != "" {
			t.Errorf("%s: Clear-Site-Data is %q", path, got)
		}
	}
}

// holds returns why an assertion of the suite does not hold, or "".
func holds(a answer, assertion any) string {
	if alternatives, ok := assertion.(map[string]any); ok {
		list, _ := alternatives["or"].([]any)
		for _, one := range list {
			if holds(a, one) == "" {
				return ""
			}
		}
		return fmt.Sprintf("none of %v holds", list)
	}
	text, _ := assertion.(string)
	subject, rest, _ := strings.Cut(text, " ")
	verb, operand, _ := strings.Cut(rest, " ")
	operands := operandsOf(operand)
	var values []string
	if subject == "result.statuscode" {
		values = []string{fmt.Sprint(a.status)}
	} else if name, ok := strings.CutPrefix(subject, "result.headers."); ok {
		values = a.header[http.CanonicalHeaderKey(name)]
	} else {
		return "not understood: " + text
	}
	one := strings.Join(values, "|") // two values are none of those that are wanted
	var ok bool
	switch verb {
	case "ShouldBeNil":
		ok = values == nil
	case "ShouldNotBeNil":
		ok = values != nil
	case "ShouldEqual", "ShouldBeIn":
		ok = slices.Contains(operands, one)
	case "ShouldContainSubstring":
		ok = values != nil && strings.Contains(one, operands[0])
	case "ShouldNotContainSubstring":
		ok = values != nil && !strings.Contains(one, operands[0])
	default:
		return "not understood: " + text
	}
	if !ok {
		return fmt.Sprintf("%s: got %q", text, values)
	}
	return ""
}

// operandsOf splits the operands of an assertion: bare, in "…" or in '…'.
func operandsOf(text string) []string {
	var out []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := strings.IndexByte(text, ' ')
		if q := text[0]; q == '"' || q == '\'' {
			closing := strings.IndexByte(text[1:], q)
			out, text = append(out, text[1:1+closing]), text[closing+2:]
			continue
		}
		if end < 0 {
			end = len(text)
		}
		out, text = append(out, text[:end]), text[end:]
	}
	return out
}

// With the profile web all answers carry what pages carry.
func TestTheProfileWebIsThatOfEveryAnswer(t *testing.T) {
	t.Parallel()
	for profile, wanted := range map[string]bool{"api": false, "web": true} {
		dir := t.TempDir()
		pool := certificate(t, dir)
		config := write(t, dir, "merlon.yaml", productionTLS+"headers: {profile: "+profile+"}\n")
		c := startService(t, merlon("--config", config).in(dir)).overTLS(t, pool)
		for _, a := range []answer{
			c.call(t, 200, "GET", "/csrf/token", nil), c.call(t, 404, "GET", "/nowhere", nil), c.call(t, 401, "GET", "/api/v1/users/me", nil), c.call(t, 200, "GET", "/health", nil),
		} {
			if got := a.header.Get("Cross-Origin-Opener-Policy") == "same-origin" && strings.Contains(a.header.Get("Content-Security-Policy"), "script-src 'nonce-"); got != wanted {
				t.Errorf("profile %s, status %d: %v", profile, a.status, a.header)
			}
		}
		if got := c.call(t, 200, "GET", "/docs", nil).header.Get("Cross-Origin-Opener-Policy"); got != "same-origin" {
			t.Errorf("profile %s: the page has Cross-Origin-Opener-Policy %q", profile, got)
		}
	}
}
