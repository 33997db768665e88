// Package authn finds out who the caller is. It verifies the one credential
// that a request presents: a session cookie, a bearer token or an API key.
//
// Refused are: more than one credential (400), a key in the query string (400),
// a bad key or token on every route (401), a bad session cookie on a route that
// needs a caller (401). Let pass are callers without a credential, and callers
// whose session is over on a public route: both are nobody. Whether nobody may
// call the route is for package authz to say.
//
// A store that does not answer is a 503, never a 401: the caller's credential
// may be perfectly good.
package authn
