//go:build unix

package main_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args     []string
		want     []string
		examples bool
	}{
		{args: nil, want: []string{"Usage: merlon <command>", "demo", "serve", "users create", "migrate status", "migrate up", "check", "config print", "config init", "secrets generate", "tokens rotate", "health", "version"}},
		{args: []string{"--help"}, want: []string{"Usage: merlon <command>"}},
		{args: []string{"-h"}, want: []string{"Usage: merlon <command>"}},
		{args: []string{"demo", "--help"}, want: []string{"--listen", "--data", "--json"}, examples: true},
		{args: []string{"demo", "-h"}, want: []string{"--listen"}, examples: true},
		{args: []string{"serve", "--help"}, want: []string{"--config", "--listen", "--[no-]watch"}, examples: true},
		{args: []string{"users", "--help"}, want: []string{"users create", "users disable", "users enable"}},
		{args: []string{"users", "disable", "--help"}, want: []string{"--username", "--config"}, examples: true},
		{args: []string{"users", "enable", "--help"}, want: []string{"--username", "--password-stdin", "--config"}, examples: true},
		{args: []string{"users", "create", "--help"}, want: []string{"--username", "--email", "--role", "--password-stdin", "--config"}, examples: true},
		{args: []string{"health", "--help"}, want: []string{"--url", "--config", "http://127.0.0.1:8080", "--url https://api.example.com"}, examples: true},
		{args: []string{"check", "--help"}, want: []string{"--config", "--format", "--fail-on", "sarif", "takes a restart:\n  environment listen database_url"}, examples: true},
		{args: []string{"config", "--help"}, want: []string{"config print", "config init"}},
		{args: []string{"config", "print", "--help"}, want: []string{"--config", "--json"}, examples: true},
		{args: []string{"config", "init", "--help"}, want: []string{"--output"}, examples: true},
		{args: []string{"migrate", "status", "--help"}, want: []string{"--config", "--json"}, examples: true},
		{args: []string{"migrate", "up", "--help"}, want: []string{"--config", "--dry-run", "--json"}, examples: true},
		{args: []string{"secrets", "generate", "--help"}, want: []string{"--output", "--json"}, examples: true},
		{args: []string{"tokens", "rotate", "--help"}, want: []string{"--config", "--notice", "--leaked", "--json"}, examples: true},
		{args: []string{"version", "--help"}, want: []string{"Usage: merlon version"}},
	} {
		t.Run(strings.Join(append([]string{"merlon"}, tt.args...), " "), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := run(t, merlon(tt.args...).in(dir))
			if r.code != 0 || r.stderr != "" {
				t.Errorf("exit %d, want 0 and help on standard output:\n%s", r.code, r.stderr)
			}
			for _, want := range tt.want {
				if !strings.Contains(r.stdout, want) {
					t.Errorf("no %q in\n%s", want, r.stdout)
				}
			}
			example := regexp.MustCompile(`(?m)^Examples?:\n(  merlon .*\n)+`).FindString(r.stdout)
			if (example != "") != tt.examples {
				t.Errorf("has examples: %v, want %v:\n%s", example != "", tt.examples, r.stdout)
			}
			if tt.examples && !strings.Contains(r.stdout, "\nExit codes: 0 ") {
				t.Errorf("exit codes are not explained:\n%s", r.stdout)
			}
			// Every flag of an example is one of the command.
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(example, -1) {
				if !strings.Contains(strings.Replace(r.stdout, example, "", 1), flag) {
					t.Errorf("the example uses %s, which is not explained", flag)
				}
			}
			if made := names(t, dir); len(made) > 0 {
				t.Errorf("it made %v", made)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"frobnicate"}, {"--frobnicate"}, {"demo", "--frobnicate"}, {"demo", "more"}, {"serve", "merlon.yaml"}, {"serve", "--config"},
		{"users"}, {"users", "frobnicate"}, {"health", "http://127.0.0.1:8080"}, {"version", "more"}, {"demo", "--json=perhaps"}, {""},
	} {
		t.Run(fmt.Sprintf("merlon %q", args), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := run(t, merlon(args...).in(dir))
			if r.code != 2 || r.stdout != "" || !strings.HasPrefix(r.stderr, "merlon: ") || !strings.Contains(r.stderr, "--help") {
				t.Errorf("exit %d, want 2 and where to find help:\n%s%s", r.code, r.stdout, r.stderr)
			}
			if made := names(t, dir); len(made) > 0 {
				t.Errorf("it made %v", made)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	r := run(t, merlon("version"))
	if r.code != 0 || r.stderr != "" || !regexp.MustCompile(`^merlon \S+\n$`).MatchString(r.stdout) {
		t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	// The document says the same.
	d := startDemo(t, merlon())
	doc := get[struct{ Info struct{ Version string } }](t, d.client, "/openapi.json")
	if got := "merlon " + doc.Info.Version + "\n"; got != r.stdout {
		t.Errorf("the document is of %q, the program is %q", got, r.stdout)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	d := startDemo(t, merlon())
	dead := startDemo(t, merlon())
	dead.stop()
	notFound := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(notFound.Close)
	elsewhere := httptest.NewServer(http.RedirectHandler(d.samples.URL+"/health/ready", http.StatusFound))
	t.Cleanup(elsewhere.Close)
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(func() { close(release); hangs.Close() })
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) }))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it is refused on purpose
	secure.StartTLS()
	t.Cleanup(secure.Close)

	says := func(status int, text string) string {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}))
		t.Cleanup(other.Close)
		return other.URL
	}

	for _, tt := range []struct {
		name, url string
		code      int
	}{
		{"a server that runs", d.samples.URL, 0},
		{"a URL with a slash at its end", d.samples.URL + "/", 0},
		{"a name instead of an address", strings.Replace(d.samples.URL, "127.0.0.1", "localhost", 1), 0},
		{"a server that has ended", dead.samples.URL, 1},
		{"another server", notFound.URL, 1},
		{"a page", says(200, "<!DOCTYPE html>\n<title>Hello</title>\n"), 1},
		{"terminal escapes", says(503, "\x1b[2J\x1b]0;title\a\r\n\n"), 1},
		{"not ready", says(503, `{"status":"unavailable"}`+"\n"), 1},
		{"a server somewhere else", elsewhere.URL, 1},
		{"a server that does not answer", hangs.URL, 1},
		{"a certificate that nobody trusts", secure.URL, 1},
		{"clear text to TLS", strings.Replace(secure.URL, "https", "http", 1), 1},
		{"an address without a scheme", strings.TrimPrefix(d.samples.URL, "http://"), 1},
		{"a scheme that is not HTTP", "ftp://127.0.0.1:21", 1},
		{"no host", "http://", 1},
		{"nothing", "", 1},
		{"a control character", "http://127.0.0.1:1/\x1b[2J", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, merlon("health", "--url", tt.url))
			if r.code != tt.code {
				t.Errorf("exit %d, want %d:\n%s%s", r.code, tt.code, r.stdout, r.stderr)
			}
			if tt.code == 0 && (!strings.Contains(r.stdout, `"status":"ok"`) || r.stderr != "") {
				t.Errorf("said:\n%s%s", r.stdout, r.stderr)
			}
			if tt.code != 0 && (r.stdout != "" || !strings.HasPrefix(r.stderr, "merlon: ") || strings.ContainsRune(r.stderr, '\x1b')) {
				t.Errorf("said:\n%s%q", r.stdout, r.stderr)
			}
			if tt.code != 0 {
				complaint(t, r)
			}
		})
	}
}
