// Package httpsonly keeps clear text out.
//
// A request over TLS passes (to us, or to a trusted proxy that says so: see
// package clientip). A request in clear text is
//
//   - redirected with 308 when it is a page navigation, GET or HEAD: a person
//     typed an address. The target has the path and query of the request and a
//     host of the configuration, never one that only the request names. Without
//     configured hosts nothing is redirected;
//   - refused with 403 https-required otherwise. A program that is redirected
//     sends its credential in clear text for ever and nobody notices (OWASP ASVS
//     5.0 4.1.2);
//   - refused, whatever it looks like, when it presents a credential, in a header or
//     in the query, which has then been exposed on the way. This is recorded as [audit.AuthnCredentialInClear]:
//     whoever owns the credential should replace it.
//
// Routes marked as probes pass. Two settings let clear text pass, each with a
// reason: InsecureLoopback on loopback, InsecureHTTP everywhere.
//
// A TLS-terminating proxy that is not trusted looks like clear text: navigations
// are redirected for ever. The remedy is to trust the proxy.
//
// The stage sees no credential inside a body, such as a password at login: the
// request is refused like others, before its body is read and without the event.
package httpsonly
