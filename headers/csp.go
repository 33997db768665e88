package headers

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A Source is one entry of a source list (CSP Level 3 section 2.3.1): a keyword
// below, an origin with or without a path such as "https://img.example.com", a
// scheme such as "data:", or a hash such as "'sha256-…'".
type Source string

// The keywords.
const (
	// Self is the page's own origin.
	Self Source = "'self'"
	// NonceSource is the nonce of the request, see [Nonce]. It stands in ScriptSrc
	// and StyleSrc.
	NonceSource Source = "'nonce'"
	// StrictDynamic lets scripts that run load others, and nothing else load any.
	// It stands in ScriptSrc, beside NonceSource or a hash.
	StrictDynamic Source = "'strict-dynamic'"
	// ReportSample lets reports hold the beginning of what was blocked.
	ReportSample Source = "'report-sample'"
	// UnsafeInline, UnsafeEval, UnsafeHashes and WASMUnsafeEval stand in fields that
	// begin with Insecure only.
	UnsafeInline   Source = "'unsafe-inline'"
	UnsafeEval     Source = "'unsafe-eval'"
	UnsafeHashes   Source = "'unsafe-hashes'"
	WASMUnsafeEval Source = "'wasm-unsafe-eval'"
)

// A CSP is a Content-Security-Policy. The zero CSP is the strict one: scripts run
// that carry the nonce of the request, and those that they load; styles, images,
// fonts and connections are of the page's own origin; there is nothing else.
//
// In each list, nil means the default that its comment names, and an empty list
// means nothing at all ('none'). base-uri and object-src are always 'none': nobody
// needs them but who attacks. upgrade-insecure-requests is sent over TLS. Whatever
// FrameAncestors says, X-Frame-Options stays DENY, which only browsers that do not know
// frame-ancestors look at.
type CSP struct {
	DefaultSrc     []Source // default: nothing; holds for what is not named here
	ScriptSrc      []Source // default: NonceSource, StrictDynamic
	StyleSrc       []Source // default: Self, NonceSource
	ImgSrc         []Source // default: Self
	FontSrc        []Source // default: Self
	ConnectSrc     []Source // default: Self
	MediaSrc       []Source // default: nothing
	FrameSrc       []Source // default: nothing
	WorkerSrc      []Source // default: nothing
	ManifestSrc    []Source // default: nothing
	FormAction     []Source // default: Self
	FrameAncestors []Source // default: nothing, nobody frames the page

	// TrustedTypes are the names of the policies that scripts may make (Trusted
	// Types section 4.2.2). Browsers that know them let only what such a policy made
	// into innerHTML and its like. Default: none.
	TrustedTypes []string
	// InsecureNoTrustedTypes, when it holds a reason, lets scripts put any text
	// where it becomes markup or code.
	InsecureNoTrustedTypes string

	// InsecureScriptSrc adds to ScriptSrc what lets injected scripts run.
	InsecureScriptSrc InsecureSources
	// InsecureStyleSrc adds to StyleSrc what lets injected styles in.
	InsecureStyleSrc InsecureSources
}

// InsecureSources are sources that a strict policy does not have: 'unsafe-inline'
// and its like, "*", whole schemes, wildcards. Sources and Reason go together.
type InsecureSources struct {
	Sources []Source
	Reason  string
}

// kind is what the sources of a directive lead to.
type kind int

const (
	data      kind = iota // what is loaded is looked at or listened to
	code                  // what is loaded runs, or is a page
	script                // code, by nonce and hash too
	style                 // styles, by nonce and hash too
	neighbour             // origins that forms go to, or that frame the page
)

// directive is one list of a CSP.
type directive struct {
	name     string
	kind     kind
	sources  []Source
	standard []Source // what nil means
	insecure *InsecureSources
	follows  bool // nothing but default-src stands in for it
}

func (c *CSP) directives() []directive {
	self := []Source{Self}
	return []directive{
		{"default-src", code, c.DefaultSrc, nil, nil, false},
		{"script-src", script, c.ScriptSrc, []Source{NonceSource, StrictDynamic}, &c.InsecureScriptSrc, false},
		{"style-src", style, c.StyleSrc, []Source{Self, NonceSource}, &c.InsecureStyleSrc, false},
		{"img-src", data, c.ImgSrc, self, nil, true},
		{"font-src", data, c.FontSrc, self, nil, true},
		{"connect-src", data, c.ConnectSrc, self, nil, true},
		{"media-src", data, c.MediaSrc, nil, nil, true},
		{"frame-src", code, c.FrameSrc, nil, nil, true},
		{"worker-src", code, c.WorkerSrc, nil, nil, false},
		{"manifest-src", data, c.ManifestSrc, nil, nil, true},
		{"object-src", code, nil, nil, nil, false},
		{"base-uri", code, nil, nil, nil, false},
		{"form-action", neighbour, c.FormAction, self, nil, false},
		{"frame-ancestors", neighbour, c.FrameAncestors, nil, nil, false},
	}
}

// policy is a compiled CSP: its text, cut where the nonce belongs.
type policy struct {
	clear, secure []string // over plain HTTP, over TLS
}

func (p *policy) nonced() bool { return len(p.clear) > 1 }

func (p *policy) text(secure bool, nonce string) string {
	parts := p.clear
	if secure {
		parts = p.secure
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return strings.Join(parts, nonce)
}

// hole stands for the nonce while the text is put together; no source holds it.
const hole = "\x00"

// compile returns the policy, with reports to the given URL ("" for none), and
// everything that is wrong with it.
func (c *CSP) compile(reports string, enforced bool) (*policy, []error) {
	var errs []error
	var all []string
	for _, d := range c.directives() {
		text, err := d.text()
		errs = append(errs, err...)
		if !d.follows || text != "'none'" || len(c.DefaultSrc) > 0 {
			all = append(all, d.name+" "+text)
		}
	}
	if c.InsecureNoTrustedTypes == "" {
		names := "'none'"
		if len(c.TrustedTypes) > 0 {
			names = strings.Join(c.TrustedTypes, " ")
		}
		for _, name := range c.TrustedTypes {
			if !isPolicyName(name) {
				errs = append(errs, fmt.Errorf("TrustedTypes %q: want letters, digits and -#=_/@.%%", name))
			}
		}
		all = append(all, "require-trusted-types-for 'script'", "trusted-types "+names)
	} else if c.TrustedTypes != nil {
		errs = append(errs, fmt.Errorf("both TrustedTypes and InsecureNoTrustedTypes: give one of them"))
	}
	if reason := c.InsecureNoTrustedTypes; reason != "" && strings.TrimSpace(reason) == "" {
		errs = append(errs, fmt.Errorf("InsecureNoTrustedTypes %q: want a reason, or nothing", reason))
	}
	if reports != "" {
		// Browsers that know report-to do not look at report-uri.
		all = append(all, "report-uri "+reports, "report-to "+reportGroup)
	}
	text := strings.Join(all, "; ")
	p := &policy{clear: strings.Split(text, hole), secure: strings.Split(text, hole)}
	if enforced {
		p.secure = strings.Split(text+"; upgrade-insecure-requests", hole)
	}
	return p, errs
}

// text returns the sources of d as they are sent.
func (d *directive) text() (string, []error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf(d.name+" "+format, args...))
	}
	sources := d.sources
	if sources == nil {
		sources = d.standard
	}
	trusted := slices.ContainsFunc(sources, func(s Source) bool { return s == NonceSource || isHash(s) })
	for _, s := range sources {
		if want := d.fault(s); want != "" {
			bad("%q: %s", s, want)
		}
		if s == StrictDynamic && !trusted {
			bad("%q: want NonceSource or a hash beside it, or no script runs at all", s)
		}
	}
	if in := d.insecure; in != nil && (len(in.Sources) > 0 || in.Reason != "") {
		if len(in.Sources) == 0 || strings.TrimSpace(in.Reason) == "" {
			bad("(Insecure): want both Sources and a Reason")
		}
		for _, s := range in.Sources {
			if want := insecureFault(s); want != "" {
				bad("(Insecure) %q: %s", s, want)
			}
		}
		sources = append(slices.Clone(sources), in.Sources...)
	}
	if len(sources) == 0 {
		return "'none'", errs
	}
	words := make([]string, len(sources))
	for i, s := range sources {
		words[i] = string(s)
		if s == NonceSource {
			words[i] = "'nonce-" + hole + "'"
		}
	}
	return strings.Join(words, " "), errs
}

// fault says what is wrong with a source in the directive, or "".
func (d *directive) fault(s Source) string {
	marked := d.kind == script || d.kind == style
	switch {
	case s == Self:
		return ""
	case s == NonceSource || s == ReportSample || isHash(s):
		if marked {
			return ""
		}
		return "it stands in ScriptSrc and StyleSrc only"
	case s == StrictDynamic:
		if d.kind == script {
			return ""
		}
		return "it stands in ScriptSrc only"
	case s == UnsafeInline || s == UnsafeEval || s == UnsafeHashes || s == WASMUnsafeEval:
		return "it stands in InsecureScriptSrc and InsecureStyleSrc only, with a reason"
	case strings.HasPrefix(string(s), "'nonce-"):
		return "a nonce that stays the same is none: use NonceSource"
	case s == "'none'":
		return "give an empty list"
	case s == "*":
		return `it is everybody: name the origins, or for images and their like a scheme such as "https:"`
	case isScheme(s):
		switch {
		case d.kind == data && (s == "https:" || s == "data:" || s == "blob:"):
			return ""
		case d.kind == code && s == "blob:" && d.name == "worker-src":
			return "the code in it comes from anywhere: serve the worker"
		case marked:
			return "it stands in the field that begins with Insecure only, with a reason"
		}
		return "name the origins"
	}
	wildcard, fault := originFault(s)
	if fault == "" && wildcard && (d.kind == script || d.kind == code) {
		return "one subdomain that fell is enough: name the origins"
	}
	return fault
}

// insecureFault says what is wrong with a source that is known to be a risk.
func insecureFault(s Source) string {
	switch s {
	case UnsafeInline, UnsafeEval, UnsafeHashes, WASMUnsafeEval, "*":
		return ""
	}
	if isScheme(s) {
		return ""
	}
	if _, fault := originFault(s); fault != "" {
		return fault
	}
	return ""
}

func isScheme(s Source) bool {
	scheme, ok := strings.CutSuffix(string(s), ":")
	if !ok || scheme == "" {
		return false
	}
	for i, c := range []byte(scheme) {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return true
}

// isHash reports whether s is a hash of the right length (CSP3 section 2.3.1,
// hash-source).
func isHash(s Source) bool {
	for _, h := range [...]struct {
		prefix string
		size   int
	}{{"'sha256-", 32}, {"'sha384-", 48}, {"'sha512-", 64}} {
		text, ok := strings.CutPrefix(string(s), h.prefix)
		if !ok || !strings.HasSuffix(text, "'") {
			continue
		}
		sum, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(text, "'"))
		return err == nil && len(sum) == h.size
	}
	return false
}

// originFault says what is wrong with an origin, with a path or not, and whether
// it stands for all subdomains of one.
func originFault(s Source) (wildcard bool, fault string) {
	const want = `want a keyword, a hash, or an origin such as "https://cdn.example.com"`
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`;,'"\<>`, c) >= 0 {
			return false, want
		}
	}
	u, err := url.Parse(string(s))
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(string(s), "#") {
		return false, want
	}
	host := u.Hostname()
	name, wildcard := strings.CutPrefix(host, "*.")
	if name == "" || strings.Contains(name, "*") || host != strings.ToLower(host) || strings.HasSuffix(u.Host, ":") || wildcard && !strings.Contains(name, ".") {
		return false, want
	}
	switch u.Scheme {
	case "https", "wss":
		return wildcard, ""
	case "http", "ws":
		if host == "localhost" || host == "127.0.0.1" || host == "::1" {
			return false, ""
		}
		return false, "whoever is on the way writes what it answers: use https or wss"
	}
	return false, want
}

// isPolicyName reports whether s is a tt-policy-name (Trusted Types section 4.2.2).
func isPolicyName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-#=_/@.%", c) < 0 {
			return false
		}
	}
	return s != ""
}
