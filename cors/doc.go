// Package cors answers browsers that ask whether a page of another origin may
// read an answer or send a request (Fetch standard, section 3.3, "CORS protocol").
//
// It lets pages of the listed origins read answers, answers the preflights that
// browsers send ahead of requests that a form could not make, and refuses the
// preflights of everybody else, and those that ask for a method or a header that
// is not listed, with one and the same 403. Nobody is listed by default.
//
// It does not refuse requests that are no preflights: an answer without CORS
// headers is delivered to the browser, which hides it from the page. What the
// request itself may do is for the CSRF stage to decide, which trusts the same
// list, and for authentication. CORS is no protection against programs that are
// not browsers.
//
// A route may change the policy for itself ([route.CORS]): a preflight is decided by
// the route of the method that it asks for. Preflights for what has no route get the
// answer of the site, so that they do not tell which paths there are; the request
// itself is refused then, and a listed page may read why. Browsers remember the
// methods that an answer lists for its path, so an answer lists those only that the
// same policy decides; request headers they remember for the path whatever the method.
//
// No wildcard is accepted for methods and headers: browsers ignore "*" with
// credentials, and without them a list says as much. Preflights are never
// authenticated, since browsers send them without credentials: no stage that
// wants a principal may stand before this one.
package cors
