// Package headers sets the security headers of answers.
//
// The profile is for APIs: as few headers as do the job, since each is sent
// with every answer. An API's answers are data, but a browser can be made to
// treat data as a page: by navigating to it, by framing it, by loading it as a
// script. Each header shuts one of these doors:
//
//   - Cache-Control: no-store. Answers depend on who asks; caches do not.
//   - Content-Security-Policy: default-src 'none'; frame-ancestors 'none'. An
//     answer that is shown as a page may load and run nothing.
//   - Cross-Origin-Resource-Policy: same-origin. Pages of other origins cannot
//     load answers without CORS, as images or scripts. Requests with CORS are not
//     subject to it (Fetch section 3.7) and work as the cors stage allows.
//   - Referrer-Policy: no-referrer. Addresses of resources stay here.
//   - Strict-Transport-Security (RFC 6797), over TLS only: section 7.2 forbids it
//     in clear text, where anybody could have written it.
//   - X-Content-Type-Options: nosniff. Data is what Content-Type says.
//   - X-Frame-Options: DENY (RFC 7034), for browsers that do not know
//     frame-ancestors.
//
// Not sent: X-XSS-Protection, whose filter was itself a hole; Permissions-Policy,
// Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy, which govern
// documents with scripts, and the policy above leaves none. Server and
// X-Powered-By are removed from all answers, also those of handlers, by package
// exchange.
//
// The headers are set before anything can refuse, so that refusals and redirects
// carry them too. A handler may set another value, such as a Cache-Control for
// an answer that is the same for everybody. The stage refuses nothing.
package headers
