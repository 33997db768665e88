package validate

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

const stageName = "validate"

// DefaultMaxBody is the largest body, in bytes, of a route that sets no limit.
const DefaultMaxBody = 1 << 20

// jsonType is the media type of routes that name none (RFC 8259 section 11).
const jsonType = "application/json"

// Config is the configuration of a [Validator]. The zero Config is safe: JSON
// only, 1 MiB, the limits of [Limits].
type Config struct {
	// MaxBody is the largest body in bytes where the route sets none: 0 or more,
	// default 1 MiB.
	MaxBody int64
	// JSON limits the shape of JSON bodies.
	JSON Limits
}

// A Validator is the stage that reads the body: its size, its content type, and
// the form of JSON. What the members mean is for the schema of the handler.
type Validator struct {
	maxBody int64
	limits  Limits
}

var _ exchange.Stage = (*Validator)(nil)

// New returns a validator. All errors are reported at once.
func New(cfg Config) (*Validator, error) {
	var errs []error
	if cfg.MaxBody < 0 {
		errs = append(errs, fmt.Errorf("validate: MaxBody %d: want 0 (1 MiB) or more bytes", cfg.MaxBody))
	}
	if d := cfg.JSON.MaxDepth; d < 0 || d > hardMaxDepth {
		errs = append(errs, fmt.Errorf("validate: JSON.MaxDepth %d: want 0 (32) to %d levels", d, hardMaxDepth))
	}
	if n := cfg.JSON.MaxMembers; n < 0 {
		errs = append(errs, fmt.Errorf("validate: JSON.MaxMembers %d: want 0 (10,000) or more", n))
	}
	if n := cfg.JSON.MaxStringBytes; n < 0 {
		errs = append(errs, fmt.Errorf("validate: JSON.MaxStringBytes %d: want 0 (1 MiB) or more bytes", n))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	v := &Validator{maxBody: cfg.MaxBody, limits: cfg.JSON.withDefaults()}
	if v.maxBody == 0 {
		v.maxBody = DefaultMaxBody
	}
	return v, nil
}

// Name returns "validate".
func (v *Validator) Name() string { return stageName }

// Handler returns a handler that checks bodies and then calls next.
func (v *Validator) Handler(next http.Handler) http.Handler { return exchange.Handler(v, next) }

// Decide reads the body of x into x.Body and refuses: a content type that the
// route does not take (415), a content coding (415), a body that is too large
// (413), JSON that is malformed (400) or breaks a limit or a rule (422). A
// request without a body passes untouched.
func (v *Validator) Decide(x *exchange.Exchange) exchange.Outcome {
	r := x.Request
	if len(x.Body) == 0 && (r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0) {
		return exchange.Continue()
	}
	limit, types := v.maxBody, []string(nil)
	if rt := x.Route(); rt != nil {
		types = rt.ContentTypes
		if rt.MaxBody > 0 {
			limit = rt.MaxBody
		}
	}
	media, p := contentType(r.Header, types)
	if p != nil && r.ContentLength > 0 {
		// Nothing needs to be read to know, unless it is to be handed on.
		return refuse(p).Else(func() exchange.Outcome { return read(x, limit) })
	}
	if o := read(x, limit); !o.Continues() {
		return o
	}
	if len(x.Body) == 0 {
		return exchange.Continue() // chunked, and empty: there is nothing to have a type
	}
	if p != nil {
		return refuse(p)
	}
	if isJSON(media) {
		if err := CheckJSON(x.Body, v.limits); err != nil {
			return refuse(problemOf(err))
		}
	}
	return exchange.Continue()
}

// read reads the body. A body that is too large or cannot be read is refused in
// shadow too: there is nothing whole to hand on.
func read(x *exchange.Exchange, limit int64) exchange.Outcome {
	if p := x.ReadBody(limit); p != nil {
		return refuse(p).Firmly()
	}
	return exchange.Continue()
}

func refuse(p *problem.Problem) exchange.Outcome {
	o := exchange.Refuse(p, audit.InputValidationFail)
	if len(p.Errors) > 0 {
		o.Detail = append(o.Detail, members(p))
	}
	return o
}

// contentType returns the media type of the body, in lower case and without
// parameters, or the problem of one that is not among types.
func contentType(h http.Header, types []string) (string, *problem.Problem) {
	unsupported := func(detail string) (string, *problem.Problem) {
		return "", problem.New(problem.UnsupportedMediaType, detail)
	}
	for _, coding := range h["Content-Encoding"] {
		// A coding that is undone behind the checks is a way around them.
		if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
			return unsupported("Content-Encoding is not supported: send the body as it is.")
		}
	}
	values := h["Content-Type"]
	if len(values) != 1 {
		return unsupported("Send one Content-Type: " + accepted(types) + ".")
	}
	// A list of types, or a parameter given twice, is an error to ParseMediaType.
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil || !takes(types, media) {
		return unsupported("Send one Content-Type: " + accepted(types) + ".")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return unsupported("Only the charset utf-8 is supported.")
	}
	return media, nil
}

func takes(types []string, media string) bool {
	if isXML(media) {
		return false // whatever the route says: entities, and no parser of ours
	}
	if len(types) == 0 {
		return media == jsonType
	}
	for _, t := range types {
		if strings.EqualFold(t, media) {
			return true
		}
	}
	return false
}

func accepted(types []string) string {
	if len(types) == 0 {
		return jsonType
	}
	return strings.Join(types, " or ")
}

func isJSON(media string) bool {
	return media == jsonType || strings.HasSuffix(media, "+json")
}

func isXML(media string) bool {
	return media == "text/xml" || media == "application/xml" || strings.HasSuffix(media, "+xml")
}
