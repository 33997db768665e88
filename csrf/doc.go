// Package csrf keeps pages of other sites from making a browser send requests
// in the name of its user.
//
// A [Protection] has two taps, which are stages of a chain. [Protection.Origin]
// stands before authentication and asks the browser: it refuses requests with
// unsafe methods that Fetch-Metadata (Sec-Fetch-Site) or Origin say came from
// another site or another subdomain, unless their origin is one of the trusted
// ones. It needs no session, so it covers login. [Protection.Token] stands behind
// authentication and asks the page: where the session cookie proves who the
// caller is, which browsers send without being asked, a request with an unsafe
// method must carry a token that only pages that may read our answers can have.
//
// The verdicts on origins are those of [net/http.CrossOriginProtection], and
// stricter where that has holes: an Origin with a user name or a path, an http
// Origin sent to an https host, repeated headers.
//
// [Protection.Handler] is the first tap as plain middleware. The second one is of
// use in a chain only: without authentication before it, it refuses every unsafe
// request with a session cookie.
//
// Lets pass: safe methods (GET, HEAD, OPTIONS), which therefore must change
// nothing, WebSocket handshakes among them; requests with neither header, which
// no browser sends that is still in use; requests whose only credential is an API key
// or a bearer token, which a page must name itself and, across origins, only
// after a preflight. Basic and other schemes that browsers answer by themselves
// are not exempt.
//
// Does not protect against scripts that run in a page of the site itself: those
// can read tokens.
package csrf
