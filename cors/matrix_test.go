package cors_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/cors"
)

// The rows of TestAnswers are single cases; these are their combinations. Each part
// of a request has values that are right and values that are wrong, and the answer
// must be as the parts say, whatever stands beside them.

type part struct {
	name   string
	values []string // nil: the header is absent
	right  bool
}

var origins = []part{
	{"the listed one", []string{app}, true},
	{"another listed one", []string{"https://app.example.com:8443"}, true},
	{"one below the wildcard", []string{"https://a.b.example.org"}, true},
	{"the wildcard's own domain", []string{"https://example.org"}, false},
	{"foreign", []string{"https://evil.example"}, false},
	{"foreign, with the listed one in front", []string{"https://app.example.com.evil.example"}, false},
	{"in clear text", []string{"http://app.example.com"}, false},
	{"on another port", []string{"https://app.example.com:444"}, false},
	{"malformed", []string{"https://app.example.com/"}, false},
	{"in upper case", []string{"https://APP.example.com"}, false},
	{"opaque", []string{"null"}, false},
	{"a star", []string{"*"}, false},
	{"empty", []string{""}, false},
	{"the listed one twice", []string{app, app}, false},
	{"the listed one and a foreign one", []string{app, "https://evil.example"}, false},
	{"two in one line", []string{app + " " + app}, false},
}

var methodsAsked = []part{
	{"GET", []string{"GET"}, true},
	{"HEAD, by GET", []string{"HEAD"}, true},
	{"POST", []string{"POST"}, true},
	{"PUT", []string{"PUT"}, true},
	{"one that is not listed", []string{"PATCH"}, false},
	{"OPTIONS", []string{"OPTIONS"}, false}, // rs/cors always allows it
	{"a method of other case", []string{"put"}, false},
	{"an invented one", []string{"BREW"}, false},
	{"a forbidden one", []string{"TRACE"}, false},
	{"a star", []string{"*"}, false},
	{"empty", []string{""}, false},
	{"two in a line", []string{"GET, PUT"}, false},
	{"two", []string{"GET", "PUT"}, false},
}

var headersAsked = []part{
	{"none", nil, true},
	{"an empty list", []string{""}, true},
	{"one", []string{"content-type"}, true},
	{"both", []string{"content-type,x-csrf-token"}, true},
	{"both, in another order and case", []string{"X-CSRF-Token, Content-Type"}, true},
	{"both, on two lines", []string{"content-type", "x-csrf-token"}, true},
	{"sixteen empty elements", []string{strings.Repeat(",", 16) + "content-type"}, true},
	{"seventeen", []string{strings.Repeat(",", 17) + "content-type"}, false},
	{"two spaces", []string{"content-type,  x-csrf-token"}, false},
	{"one twice", []string{"content-type,content-type,x-csrf-token"}, false},
	{"one that is not listed", []string{"content-type,x-evil"}, false},
	{"a star", []string{"*"}, false},
	{"a megabyte", []string{strings.Repeat("x-evil,", 1<<17)}, false},
}

var networks = []part{
	{"no private network", nil, true},
	{"a private network", []string{"true"}, false},
	{"a private network that is asked for oddly", []string{"1"}, false},
}

func TestAPreflightPassesWhenEachPartOfItDoes(t *testing.T) {
	s := mustNew(t, cors.Config{
		Origins: []string{app, "https://app.example.com:8443", "https://*.example.org"}, Credentials: true,
		Methods: []string{"GET", "POST", "PUT"}, RequestHeaders: []string{"Content-Type", "X-CSRF-Token"},
	})
	for _, o := range origins {
		for _, m := range methodsAsked {
			for _, hs := range headersAsked {
				for _, n := range networks {
					h := http.Header{"Origin": o.values, acrm: m.values}
					if hs.values != nil {
						h[acrh] = hs.values
					}
					if n.values != nil {
						h[acrpn] = n.values
					}
					rec, reached, evs := do(t, s, "OPTIONS", h)
					passes := o.right && m.right && hs.right && n.right
					want := headers{"Vary": varyOptions}
					if passes {
						want = headers{"Vary": varyOptions, acao: o.values[0], acac: "true", acam: "GET, POST, PUT, HEAD", acah: "Content-Type, X-CSRF-Token", acma: "86400"}
					}
					got := corsHeaders(rec.Header())
					if reached || (rec.Code == 204) != passes || (rec.Code == 403) == passes || (len(evs) == 0) != passes || fmt.Sprint(got) != fmt.Sprint(want) {
						t.Fatalf("origin %s, method %s, headers %s, %s: status %d, reached %v, %d events, %v; want %v", o.name, m.name, hs.name, n.name, rec.Code, reached, len(evs), got, want)
					}
				}
			}
		}
	}
}

// Whatever the method, also one that the list lacks: preflights are where methods
// are asked about, and an answer that is there anyway tells the page why it was
// refused. (rs/cors withholds the headers of methods that are not listed.)
func TestAnAnswerMayBeReadWhenTheOriginIsListed(t *testing.T) {
	s := mustNew(t, cors.Config{Origins: []string{app, "https://app.example.com:8443", "https://*.example.org"}, Credentials: true, Methods: []string{"GET"}})
	everybody := mustNew(t, cors.Config{InsecureAnyOrigin: "public data", ExposedHeaders: []string{}})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "BREW"} {
		vary := varyOrigin
		if method == "OPTIONS" {
			vary = varyOptions
		}
		for _, o := range slices.Concat(origins, []part{{"absent", nil, false}}) {
			h := http.Header{}
			if o.values != nil {
				h["Origin"] = o.values
			}
			want := headers{"Vary": vary}
			if o.right {
				want = headers{"Vary": vary, acao: o.values[0], acac: "true", aceh: defaultExposed}
			}
			rec, reached, _ := do(t, s, method, h)
			if got := corsHeaders(rec.Header()); !reached || rec.Code != 200 || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, origin %s: status %d, %v; want %v", method, o.name, rec.Code, got, want)
			}

			want = headers{"Vary": vary}
			if len(o.values) == 1 && o.values[0] != "" {
				want = headers{"Vary": vary, acao: "*"}
			}
			rec, reached, _ = do(t, everybody, method, h)
			if got := corsHeaders(rec.Header()); !reached || rec.Code != 200 || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, origin %s, any origin: status %d, %v; want %v", method, o.name, rec.Code, got, want)
			}
		}
	}
}
