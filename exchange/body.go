package exchange

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/merlonhq/merlon/problem"
)

// ReadBody reads the whole body of the request, at most limit bytes, keeps it
// in x.Body and gives the handler the same bytes to read again. Reading twice is
// reading once. It returns a problem: payload-too-large when the body is larger,
// malformed-request when it cannot be read.
func (x *Exchange) ReadBody(limit int64) *problem.Problem {
	if x.bodyRead {
		if int64(len(x.Body)) > limit {
			return tooLarge()
		}
		return nil
	}
	r := x.Request
	if r.Body == nil || r.Body == http.NoBody {
		x.bodyRead = true
		return nil
	}
	if r.ContentLength > limit {
		return tooLarge()
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		// Content-Length is a claim; memory follows it no further than the limit.
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	// MaxBytesReader also tells the server not to read the rest.
	_, err := buf.ReadFrom(http.MaxBytesReader(x.writer.ResponseWriter, r.Body, limit))
	if err != nil {
		if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
			return tooLarge()
		}
		return problem.New(problem.MalformedRequest, "The body could not be read to its end.").WithCause(err)
	}
	x.bodyRead = true
	x.ReplaceBody(buf.Bytes())
	return nil
}

// ReplaceBody gives the handler b to read as the body of the request.
func (x *Exchange) ReplaceBody(b []byte) {
	x.Body = b
	x.bodyRead = true
	x.Request.Body = io.NopCloser(bytes.NewReader(b))
	x.Request.ContentLength = int64(len(b))
}

func tooLarge() *problem.Problem {
	return problem.New(problem.PayloadTooLarge, "The body is larger than this route accepts.")
}
