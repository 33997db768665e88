// Package headers sets the security headers of answers.
//
// The standard profile, api, is for answers that are data: as few headers as do
// the job, since each is sent with every answer. A browser can be made to treat
// data as a page: by navigating to it, by framing it, by loading it as a script.
// Each header shuts one of these doors:
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
// The profile web is for pages, and form for pages with forms. They add what governs
// documents with scripts: a strict Content-Security-Policy with a nonce for each
// request (see [CSP] and [Nonce]), Cross-Origin-Opener-Policy and
// Cross-Origin-Embedder-Policy, which keep the page in a process of its own, a
// Permissions-Policy that denies what pages seldom use, X-DNS-Prefetch-Control and
// X-Permitted-Cross-Domain-Policies. A route names its profile, [route.Route.Headers];
// pages that need another policy get a profile of their own, [Config.Pages].
//
// Not sent: X-XSS-Protection, whose filter was itself a hole. Server, X-Powered-By
// and the like are removed from all answers, also those of handlers and of what they
// hand on, by package exchange.
//
// The headers are set before anything can refuse, so that refusals and redirects
// carry them too. A handler may set another value, such as a Cache-Control for
// an answer that is the same for everybody. The stage refuses nothing.
package headers
