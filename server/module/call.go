package module

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/identity"
	"github.com/merlonhq/merlon/problem"
)

// A Call is one call of an endpoint. It is the call's context too.
type Call struct {
	context.Context
	x *exchange.Exchange
	w http.ResponseWriter
	r *http.Request
}

// Principal returns the caller; on a public route it may be nobody.
func (c *Call) Principal() *identity.Principal { return &c.x.Principal }

// Client returns the address of the client.
func (c *Call) Client() netip.Addr { return c.x.Client }

// Now returns when the call arrived, in UTC.
func (c *Call) Now() time.Time { return c.x.Now.UTC() }

// Path returns the value of a variable of the route's pattern.
func (c *Call) Path(name string) string { return c.r.PathValue(name) }

// UserAgent returns the User-Agent header as the client sent it.
func (c *Call) UserAgent() string { return c.r.UserAgent() }

// Header returns the headers of the answer.
func (c *Call) Header() http.Header { return c.w.Header() }

// SetCookie adds a cookie to the answer.
func (c *Call) SetCookie(cookie *http.Cookie) { http.SetCookie(c.w, cookie) }

// Record records an event of this call. It does not block.
func (c *Call) Record(e audit.Event) { c.x.Record(e) }

// Commit records an event that must not be lost, and returns the answer to give
// when it cannot be recorded: no record, no action.
func (c *Call) Commit(e audit.Event) error {
	if err := c.x.Commit(e); err != nil {
		return problem.Unavailable(err)
	}
	return nil
}
