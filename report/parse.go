package report

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/validate"
)

const (
	reportsJSON = "application/reports+json"
	cspReport   = "application/csp-report"
)

// ContentTypes returns the media types that a collector takes.
func ContentTypes() []string { return []string{reportsJSON, cspReport} }

// Reports is what the body of a request holds.
type Reports struct {
	Violations []Violation
	Others     int // reports of other kinds
	Ignored    int // reports beyond the bound
}

// A Violation is what a Content-Security-Policy blocked, or would block. Every
// field is bounded and holds nothing of a URL that may be a secret.
type Violation struct {
	// Document is the path of the page, without query and fragment; "" when it has
	// none.
	Document string
	// Directive is the one that was violated, such as "script-src-elem".
	Directive string
	// Blocked is the origin of what was blocked, such as "https://evil.example", a
	// scheme such as "data:", or a word such as "inline" (CSP3 section 5.2).
	Blocked string
	// Disposition is "enforce", or "report" where the policy only reports.
	Disposition string
}

const (
	dispositionEnforce = "enforce"
	dispositionReport  = "report"
	other              = "other" // a value that is none of those that browsers send
)

// Bounds on the text of one body, and on a field of an event in bytes.
const (
	maxDepth   = 8
	maxMembers = 2000
	maxField   = 200
)

// Parse reads the body of a report of the given media type, at most the given number
// of reports in it. It returns a problem where the body is not JSON (400), or JSON
// and no report (422).
func Parse(mediaType string, body []byte, most int) (Reports, *problem.Problem) {
	if mediaType != reportsJSON && mediaType != cspReport {
		return Reports{}, unsupported()
	}
	return parse(mediaType, body, most)
}

// report is one report of the Reporting API; the body is that of a CSP violation
// (CSP3 section 5.3).
type report struct {
	Type string `json:"type"`
	Body struct {
		Document    string `json:"documentURL"`
		Directive   string `json:"effectiveDirective"`
		Blocked     string `json:"blockedURL"`
		Disposition string `json:"disposition"`
	} `json:"body"`
}

// legacy is a report of CSP Level 2 section 4.4 with what later browsers add.
type legacy struct {
	Report *struct {
		Document    string `json:"document-uri"`
		Directive   string `json:"effective-directive"`
		Violated    string `json:"violated-directive"`
		Blocked     string `json:"blocked-uri"`
		Disposition string `json:"disposition"`
	} `json:"csp-report"`
}

func parse(media string, body []byte, most int) (out Reports, p *problem.Problem) {
	if err := validate.CheckJSON(body, validate.Limits{MaxDepth: maxDepth, MaxMembers: maxMembers}); err != nil {
		if content := (*validate.ContentError)(nil); errors.As(err, &content) {
			return Reports{}, noReport().WithErrors(content.Problems...)
		}
		return Reports{}, problem.New(problem.MalformedRequest, "The body is not well-formed JSON in UTF-8.")
	}
	if media == cspReport {
		var l legacy
		if err := json.Unmarshal(body, &l); err != nil || l.Report == nil {
			return Reports{}, noReport()
		}
		r := l.Report
		if r.Directive == "" {
			r.Directive, _, _ = strings.Cut(r.Violated, " ")
		}
		out.Violations = []Violation{violation(r.Document, r.Directive, r.Blocked, r.Disposition)}
		return out, nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return Reports{}, noReport()
	}
	for i, text := range raw {
		if i >= most {
			out.Ignored = len(raw) - i
			break
		}
		var kind struct {
			Type *string `json:"type"`
		}
		if err := json.Unmarshal(text, &kind); err != nil || kind.Type == nil {
			return Reports{}, noReport()
		}
		if *kind.Type != "csp-violation" {
			out.Others++
			continue
		}
		var r report
		if err := json.Unmarshal(text, &r); err != nil {
			return Reports{}, noReport()
		}
		out.Violations = append(out.Violations, violation(r.Body.Document, r.Body.Directive, r.Body.Blocked, r.Body.Disposition))
	}
	return out, nil
}

func noReport() *problem.Problem {
	return problem.New(problem.InvalidContent, "The body is not a report of a browser.").
		WithErrors(problem.FieldError{Code: "report", Detail: "Must be a report of the Reporting API or of CSP."})
}

func unsupported() *problem.Problem {
	return problem.New(problem.UnsupportedMediaType, "Send one Content-Type: "+strings.Join(ContentTypes(), " or ")+".")
}

// mediaType returns the media type of the body, where it is one of [ContentTypes].
func mediaType(h http.Header) (string, *problem.Problem) {
	if len(h["Content-Type"]) != 1 || h["Content-Encoding"] != nil {
		return "", unsupported()
	}
	media, _, err := mime.ParseMediaType(h["Content-Type"][0])
	if err != nil || media != reportsJSON && media != cspReport {
		return "", unsupported()
	}
	return media, nil
}

func violation(document, directive, blocked, disposition string) Violation {
	v := Violation{Document: path(document), Directive: name(directive), Blocked: origin(blocked), Disposition: other}
	switch disposition {
	case "", dispositionEnforce: // older browsers do not say, and report what they enforce
		v.Disposition = dispositionEnforce
	case dispositionReport:
		v.Disposition = dispositionReport
	}
	return v
}

// path returns the path of a page's URL.
func path(document string) string {
	u, err := url.Parse(document)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return bounded(u.EscapedPath())
}

// name returns the name of a directive.
func name(directive string) string {
	for _, c := range []byte(directive) {
		if (c < 'a' || c > 'z') && c != '-' {
			return other
		}
	}
	if directive == "" || len(directive) > 40 {
		return other
	}
	return directive
}

// origin returns of what was blocked what no secret can be in.
func origin(blocked string) string {
	switch blocked {
	case "inline", "eval", "wasm-eval", "self", "trusted-types-policy", "trusted-types-sink":
		return blocked
	}
	if name(blocked) == blocked { // "data", "blob": only the scheme was reported
		return blocked
	}
	u, err := url.Parse(blocked)
	if err != nil || u.Scheme == "" || len(u.Scheme) > 40 {
		return other
	}
	switch u.Scheme {
	case "https", "http", "wss", "ws":
		if u.Host == "" {
			return other
		}
		return bounded(u.Scheme + "://" + strings.ToLower(u.Host))
	}
	return u.Scheme + ":"
}

// bounded cuts what is too long for an event.
func bounded(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxField)], "") }
