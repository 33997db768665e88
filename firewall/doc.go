// Package firewall refuses requests that mean one thing to us and may mean
// another to whatever reads them next.
//
// [Stage] lets pass what has one meaning: an allowed host, a known method, a
// path in normal form, and a header without control characters, without
// contradictions and of bounded size. It refuses
//
//   - hosts that are not listed: 421 host-not-allowed. Whoever can make up a
//     host can make us write it into links, and a page can rebind its name to our
//     address. Probes are exempt: they come by address;
//   - methods that are not listed, invented ones among them, and always TRACE
//     and CONNECT: 405 with Allow;
//   - a missing or contradictory authority (RFC 9112 section 3.2.2, RFC 9113
//     section 8.3.1), targets without a path, "*" included;
//   - paths not in normal form: empty and dot segments, backslashes, percent
//     signs, semicolons (path parameters, which some servers cut off), control
//     characters, line and paragraph separators, invalid UTF-8, each of them
//     encoded too; encoded slashes and dots; raw characters outside ASCII;
//   - header names that are no tokens, values with control characters, singleton
//     fields that occur twice, transfer codings other than chunked, framing by
//     both Transfer-Encoding and Content-Length;
//   - targets, values and headers beyond the configured sizes.
//
// All but the first two are 400 malformed-request, and two credentials of one
// kind are ambiguous-credentials. So for every path that passes, what policy
// matched, what [net/http.ServeMux] serves without a redirect, and what a proxy
// forwards are the same path.
//
// It does not look at bodies and at what a query means, and cannot see what the
// server has already settled: net/http itself refuses differing Content-Length
// fields and unknown codings, and where Content-Length stands beside chunked it
// drops Content-Length before any handler. Servers that answer "OPTIONS *" before
// their handler (net/http, unless DisableGeneralOptionsHandler is set) answer it
// without this stage.
//
// Paths that no route is declared for pass: package authz refuses them.
package firewall
