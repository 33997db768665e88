package pages_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/internal/pages"
)

// site serves the pages as the service does, without the stages that are of no
// interest here.
func site(t *testing.T) http.Handler {
	t.Helper()
	p, err := pages.New()
	if err != nil {
		t.Fatal(err)
	}
	stage, err := headers.New(headers.Config{Pages: pages.Profiles(), Reports: "/reports"})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	var routes []route.Route
	for _, r := range p.Routes() {
		if err := r.Endpoint.Err(); err != nil {
			t.Fatal(err)
		}
		mux.Handle(r.Policy.Pattern, r.Endpoint)
		routes = append(routes, r.Policy)
	}
	table, err := route.New(routes)
	if err != nil {
		t.Fatal(err)
	}
	return exchange.New(exchange.Config{Stages: []exchange.Stage{stage}, Routes: table}).Handler(mux)
}

func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The files are those of the package that they say they are of.
func TestSwaggerUIIsThatOfItsPackage(t *testing.T) {
	sums, err := os.Open("swagger-ui/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()
	compared := map[string]bool{"SHA256SUMS": true, "README.md": true}
	for lines := bufio.NewScanner(sums); lines.Scan(); {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		content, err := os.ReadFile("swagger-ui/" + name)
		if os.IsNotExist(err) {
			compared[name+".gz"] = true
			content = unpack(t, "swagger-ui/"+name+".gz")
		} else if err != nil {
			t.Fatal(err)
		}
		compared[name] = true
		sum := sha256.Sum256(content)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s has the hash %s, want %s", name, got, want)
		}
	}
	files, err := os.ReadDir("swagger-ui")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !compared[f.Name()] {
			t.Errorf("%s has no hash in SHA256SUMS", f.Name())
		}
	}
}

func unpack(t *testing.T, file string) []byte {
	t.Helper()
	packed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

var links = regexp.MustCompile(`(?:href|src)="([^"]*)"`)

// Whatever a page names is there, of this origin, and may be kept for ever.
func TestPagesLoadFromTheirOwnOriginOnly(t *testing.T) {
	h := site(t)
	for _, path := range []string{"/docs", "/signed-out"} {
		w := get(h, path)
		if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Fatalf("%s: status %d, %q", path, w.Code, w.Header().Get("Content-Type"))
		}
		found := links.FindAllStringSubmatch(w.Body.String(), -1)
		if len(found) < 2 {
			t.Errorf("%s names %d files", path, len(found))
		}
		for _, m := range found {
			if m[1] == "/openapi.json" {
				continue
			}
			a := get(h, m[1])
			if a.Code != 200 || a.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || a.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: status %d, %v", m[1], a.Code, a.Header())
			}
			if a := get(h, strings.Replace(m[1], "/assets/", "/assets/0", 1)); a.Code != 404 {
				t.Errorf("%s under another hash: status %d", m[1], a.Code)
			}
		}
	}
	if w := get(h, "/assets/x/../../etc/passwd"); w.Code == 200 {
		t.Errorf("status %d", w.Code)
	}
}

// A script or a style sheet that is not what the page says it is does not run.
func TestPagesSayWhatTheyLoad(t *testing.T) {
	h := site(t)
	loads := regexp.MustCompile(`<(?:script|link rel="stylesheet")[^>]*>`)
	named := regexp.MustCompile(`(?:href|src)="([^"]*)" integrity="sha384-([^"]*)"`)
	for path, want := range map[string]int{"/docs": 4, "/signed-out": 1} {
		found := loads.FindAllString(get(h, path).Body.String(), -1)
		if len(found) != want {
			t.Errorf("%s loads %d files, want %d", path, len(found), want)
		}
		for _, tag := range found {
			m := named.FindStringSubmatch(tag)
			if m == nil {
				t.Fatalf("%s: %s has no integrity", path, tag)
			}
			sum := sha512.Sum384(get(h, m[1]).Body.Bytes())
			if got := base64.StdEncoding.EncodeToString(sum[:]); html.UnescapeString(m[2]) != got {
				t.Errorf("%s: %s is %s, the page says %s", path, m[1], got, m[2])
			}
		}
	}
}

// A page that runs a script or sets a style without the nonce would break under
// its own policy; so would one that handles events in attributes.
func TestPagesFitTheirPolicy(t *testing.T) {
	h := site(t)
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:`)
	script := regexp.MustCompile(`<script[^>]*>`)
	for _, path := range []string{"/docs", "/signed-out"} {
		w := get(h, path)
		if m := inline.FindString(w.Body.String()); m != "" {
			t.Errorf("%s has %s", path, m)
		}
		policy := w.Header().Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`'nonce-([^']+)'`).FindStringSubmatch(policy)
		for _, tag := range script.FindAllString(w.Body.String(), -1) {
			if nonce == nil || !strings.Contains(tag, `nonce="`+nonce[1]+`"`) {
				t.Errorf("%s: %s does not carry the nonce of %s", path, tag, policy)
			}
		}
		for _, word := range []string{"<!doctype html>", `<html lang="en">`, "<title>", "<main"} {
			if !strings.Contains(w.Body.String(), word) {
				t.Errorf("%s lacks %s", path, word)
			}
		}
	}
	for path, want := range map[string]string{
		"/docs": "default-src 'none'; script-src 'nonce-NONCE' 'strict-dynamic'; style-src 'self' 'nonce-NONCE'; img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'none'; " +
			"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; report-uri /reports; report-to reports",
		"/signed-out": "default-src 'none'; script-src 'none'; style-src 'self'; img-src 'self'; worker-src 'none'; " +
			"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; report-uri /reports; report-to reports",
	} {
		got := regexp.MustCompile(`'nonce-[^']+'`).ReplaceAllString(get(h, path).Header().Get("Content-Security-Policy"), "'nonce-NONCE'")
		if got != want {
			t.Errorf("%s has the policy\n%s, want\n%s", path, got, want)
		}
	}
}

func TestAssetsArePackedForWhoUnpacks(t *testing.T) {
	h := site(t)
	bundle := regexp.MustCompile(`/assets/[0-9a-f]+/swagger-ui-bundle\.js`).FindString(get(h, "/docs").Body.String())
	whole := unpack(t, "swagger-ui/swagger-ui-bundle.js.gz")
	for accept, packed := range map[string]bool{
		"gzip": true, "gzip, deflate, br": true, "br;q=1.0, gzip;q=0.8": true, "GZIP": true,
		"": false, "br": false, "gzip;q=0": false, "gzip;q=0.000": false, "identity": false, "xgzip": false, ";;": false,
	} {
		w := get(h, bundle, "Accept-Encoding", accept)
		body := w.Body.Bytes()
		if coding := w.Header().Get("Content-Encoding"); (coding == "gzip") != packed || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: Content-Encoding %q, Vary %q", accept, coding, w.Header().Get("Vary"))
		}
		if packed {
			z, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(z); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, whole) {
			t.Errorf("%q: %d bytes, want %d", accept, len(body), len(whole))
		}
	}
}

// Clear-Site-Data works in the answer to an image too: other sites must not have it.
func TestOtherSitesCannotClearWhatABrowserHolds(t *testing.T) {
	h := site(t)
	for _, tt := range []struct {
		name       string
		site, mode string
		cleared    bool
	}{
		{"no browser", "", "", true},
		{"typed by hand", "none", "navigate", true},
		{"from this site", "same-origin", "navigate", true},
		{"a link on another site", "cross-site", "navigate", false},
		{"a link on another subdomain", "same-site", "navigate", false},
		{"an image on another site", "cross-site", "no-cors", false},
		{"an image on this site", "same-origin", "no-cors", false},
		{"a script on this site", "same-origin", "cors", false},
		{"half of the headers", "same-origin", "", false},
		{"the other half", "", "navigate", false},
	} {
		var header []string
		if tt.site != "" {
			header = append(header, "Sec-Fetch-Site", tt.site)
		}
		if tt.mode != "" {
			header = append(header, "Sec-Fetch-Mode", tt.mode)
		}
		w := get(h, "/signed-out", header...)
		want := ""
		if tt.cleared {
			want = `"cache","cookies","storage"`
		}
		if got := w.Header().Get("Clear-Site-Data"); got != want || w.Code != 200 {
			t.Errorf("%s: status %d, Clear-Site-Data %q, want %q", tt.name, w.Code, got, want)
		}
		if says := strings.Contains(w.Body.String(), "You are signed out"); says != tt.cleared {
			t.Errorf("%s: the page says that the session has ended: %v", tt.name, says)
		}
	}
	for _, path := range []string{"/docs", "/nowhere"} {
		if got := get(h, path).Header().Get("Clear-Site-Data"); got != "" {
			t.Errorf("%s: Clear-Site-Data %q", path, got)
		}
	}
}
