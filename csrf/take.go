package csrf

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/validate"
)

// maxBody is how far into a body a token is looked for, in bytes.
const maxBody = 64 << 10

// take returns the token of a request and removes it from the body if it is
// there. Several are one if they are equal.
func take(x *exchange.Exchange) (token string, several bool) {
	found := func(t string) {
		switch {
		case t == "" || t == token:
		case token == "":
			token = t
		default:
			several = true
		}
	}
	for _, t := range x.Request.Header["X-Csrf-Token"] {
		found(t)
	}
	media, params, err := mime.ParseMediaType(x.Request.Header.Get("Content-Type"))
	if err != nil {
		return token, several
	}
	switch {
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		if body, ok := wholeBody(x); ok {
			takeMember(x, body, found)
		}
	case media == "application/x-www-form-urlencoded":
		if body, ok := wholeBody(x); ok {
			takeField(x, body, found)
		}
	case media == "multipart/form-data":
		body, _ := peek(x)
		findPart(body, params["boundary"], found)
	}
	return token, several
}

// wholeBody returns the body if it has at most 64 KiB.
func wholeBody(x *exchange.Exchange) (body []byte, ok bool) {
	if x.Request.ContentLength > maxBody {
		return nil, false
	}
	return peek(x)
}

// peek returns the first 64 KiB of the body, and whether that is all. The body
// can be read again from its beginning.
func peek(x *exchange.Exchange) (body []byte, whole bool) {
	if x.Body != nil {
		return x.Body[:min(len(x.Body), maxBody)], len(x.Body) <= maxBody
	}
	r := x.Request
	if r.Body == nil {
		return nil, true
	}
	if r.ContentLength > 0 {
		body = make([]byte, 0, min(r.ContentLength, maxBody)+bytes.MinRead)
	}
	buf := bytes.NewBuffer(body)
	_, err := buf.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	body = buf.Bytes()
	if err == nil && len(body) <= maxBody {
		x.ReplaceBody(body)
		return body, true
	}
	// The rest, or the error, is for whoever reads on.
	rest := io.Reader(r.Body)
	if err != nil {
		rest = failed{err}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), r.Body}
	return body[:min(len(body), maxBody)], false
}

// failed is a body that could not be read.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// takeMember cuts the member csrf_token out of a JSON object. Anything that is
// wrong with the text is left for validation to tell.
func takeMember(x *exchange.Exchange, body []byte, found func(string)) {
	token, rest, ok, err := validate.CutMember(body, Field, validate.Limits{})
	if err != nil || !ok {
		return
	}
	found(token)
	x.ReplaceBody(rest)
}

// takeField cuts all fields csrf_token out of an URL-encoded form, and leaves
// every other byte as it was.
func takeField(x *exchange.Exchange, body []byte, found func(string)) {
	rest := make([]byte, 0, len(body)+1)
	cut := false
	for pair := range bytes.SplitSeq(body, []byte("&")) {
		name, value, _ := bytes.Cut(pair, []byte("="))
		if key, err := url.QueryUnescape(string(name)); err == nil && key == Field {
			cut = true
			// A value with a bad escape is no token, but it is one too many.
			if v, err := url.QueryUnescape(string(value)); err == nil {
				found(v)
			} else {
				found(string(value))
			}
			continue
		}
		rest = append(append(rest, pair...), '&')
	}
	if cut {
		x.ReplaceBody(bytes.TrimSuffix(rest, []byte("&")))
	}
}

// findPart looks for the field csrf_token in the first 64 KiB of a multipart
// form (RFC 7578). It stays in the body: taking it out would mean to hold and
// write anew what may be a large upload.
func findPart(body []byte, boundary string, found func(string)) {
	if boundary == "" {
		return
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return
		}
		if part.FormName() != Field || part.FileName() != "" {
			continue
		}
		value, err := io.ReadAll(io.LimitReader(part, tokenLen+1))
		if err != nil {
			return // cut off by the limit
		}
		found(string(value))
	}
}
