// Package problem holds the error answers of Merlon: RFC 9457 problem
// documents, and for people who opened a page, pages that say the same. It is the
// only package that writes an error body.
//
// What a client reads (Title, Detail, Errors) and what an operator reads
// (the cause) are different fields: the cause never reaches the wire.
package problem

import (
	"errors"
	"fmt"
	"time"
)

// A Problem is one error answer (RFC 9457 section 3). A Problem is not changed
// after it was made: the With methods return changed copies, so one value may
// serve many requests at a time.
type Problem struct {
	// Code is the stable, short name of the problem. Clients switch on it.
	Code Code
	// Detail is one sentence for the person who reads the answer. It never
	// holds a value that the client sent and never a secret.
	Detail string
	// Errors tells what is wrong with single members of the request.
	Errors []FieldError
	// ViolatedPolicies names the rate limit rules that refused
	// (draft-ietf-httpapi-ratelimit-headers section 6, member violated-policies).
	ViolatedPolicies []string
	// RetryAfter is how long to wait before the same request can succeed;
	// zero sends no Retry-After header (RFC 9110 section 10.2.3).
	RetryAfter time.Duration
	// Allow is the value of the Allow header of a 405 (RFC 9110 section 10.2.1).
	Allow string
	// Challenge is the value of WWW-Authenticate of a 401 (RFC 9110 section
	// 11.6.1). Empty sends the default challenge, since a 401 must carry one.
	Challenge string

	cause error
	told  bool
}

// A FieldError tells what is wrong with one member of the request.
type FieldError struct {
	// Pointer is a JSON pointer (RFC 6901) to the member, or "" for the whole.
	Pointer string `json:"pointer"`
	// Code is the stable, short name of what is wrong.
	Code string `json:"code"`
	// Detail is one sentence. It never holds the value.
	Detail string `json:"detail"`
}

// New returns a problem with the given code. Detail is what the client may know.
func New(code Code, detail string) *Problem {
	return &Problem{Code: code, Detail: detail}
}

// Internal returns an internal-error problem that hides cause from the client.
func Internal(cause error) *Problem {
	return New(InternalError, "The request could not be completed. Nothing is known to be wrong with it.").WithCause(cause)
}

// Unavailable returns the problem of a store that does not answer: 503, never
// 401 and never 500, with a second's Retry-After. It hides cause from the client. A cause with a method Told() bool
// that says so is of an outage that the operator was told of: see [Problem.Told].
func Unavailable(cause error) *Problem {
	p := New(StoreUnavailable, "A service that this request needs does not answer. Try again.").WithCause(cause)
	p.RetryAfter = time.Second
	var told interface{ Told() bool }
	p.told = errors.As(cause, &told) && told.Told()
	return p
}

// WithCause returns a copy of p that remembers err for the operator.
func (p *Problem) WithCause(err error) *Problem {
	c := *p
	c.cause = err
	return &c
}

// Told returns a copy of p for a failure that the operator was told of where it began, such as an outage: it is not
// told again with each request that it fails.
func (p *Problem) Told() *Problem {
	c := *p
	c.told = true
	return &c
}

// IsTold reports whether p comes from [Problem.Told].
func (p *Problem) IsTold() bool { return p.told }

// WithErrors returns a copy of p that names the members at fault.
func (p *Problem) WithErrors(errs ...FieldError) *Problem {
	c := *p
	c.Errors = errs
	return &c
}

// WithRetryAfter returns a copy of p that asks the client to wait for d.
func (p *Problem) WithRetryAfter(d time.Duration) *Problem {
	c := *p
	c.RetryAfter = d
	return &c
}

// Status is the HTTP status of p. One code has one status.
func (p *Problem) Status() int { return p.Code.Status() }

// Error describes p for a log: the code and the cause, not the detail.
func (p *Problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %v", p.Code, p.cause)
	}
	return string(p.Code)
}

// Unwrap returns the cause that [Problem.WithCause] remembered.
func (p *Problem) Unwrap() error { return p.cause }
