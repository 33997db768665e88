package problem

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// defaultChallenge names the schemes a caller may authenticate with. A session
// cookie has no scheme of its own (RFC 6265 is not an authentication scheme).
const defaultChallenge = `Bearer realm="merlon"`

// document is the wire form of a [Problem] (RFC 9457 section 3.1).
type document struct {
	Type             string       `json:"type"`
	Title            string       `json:"title"`
	Status           int          `json:"status"`
	Detail           string       `json:"detail,omitempty"`
	Code             Code         `json:"code"`
	RequestID        string       `json:"request_id,omitempty"`
	Errors           []FieldError `json:"errors,omitempty"`
	ViolatedPolicies []string     `json:"violated-policies,omitempty"`
}

// Write answers r with p: status, headers and an application/problem+json body
// (none for HEAD), or a page for a person: a browser that navigates, or a client
// that prefers text/html. Headers that w already has, such as the security headers,
// stay, but for those that describe another body, and the policy of another page.
func (p *Problem) Write(w http.ResponseWriter, r *http.Request, requestID string) {
	h := w.Header()
	// A handler may have described the body that it then did not send.
	for _, name := range []string{"Content-Encoding", "Content-Length", "Content-Range", "Etag", "Last-Modified"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	body := []byte(nil)
	if forPerson(r) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", stylePolicy)
		h.Del("Content-Security-Policy-Report-Only")
		body = p.Page(requestID)
	} else {
		h.Set("Content-Type", "application/problem+json")
		body = p.Body(requestID)
	}
	status := p.Status()
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(ceilSeconds(p.RetryAfter), 10))
	}
	switch {
	case status == http.StatusMethodNotAllowed:
		// RFC 9110 section 15.5.6: a 405 must carry Allow, even an empty one.
		h.Set("Allow", p.Allow)
	case status == http.StatusUnauthorized && p.Challenge != "":
		h.Set("Www-Authenticate", p.Challenge)
	case status == http.StatusUnauthorized:
		h.Set("Www-Authenticate", defaultChallenge)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r == nil || r.Method != http.MethodHead {
		// The client may be gone; there is nobody left to tell.
		_, _ = w.Write(body)
	}
}

// Body returns the problem document, with a final newline for those who read it
// in a terminal.
func (p *Problem) Body(requestID string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	// Encoding strings and integers cannot fail; invalid UTF-8 is replaced.
	_ = enc.Encode(document{
		Type:             p.Code.Type(),
		Title:            p.Code.Title(),
		Status:           p.Status(),
		Detail:           p.Detail,
		Code:             p.Code,
		RequestID:        requestID,
		Errors:           p.Errors,
		ViolatedPolicies: p.ViolatedPolicies,
	})
	return buf.Bytes()
}

// ceilSeconds rounds up, so that a client that waits as told is not early.
func ceilSeconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}
