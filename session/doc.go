// Package session keeps people logged in.
//
// A session is an opaque token of 256 random bits in a cookie, and a [Record] in a [Store] under the token's SHA-256:
// who reads the store cannot use what is there. A [Manager] creates, verifies, rotates, lists and ends sessions. A
// session ends on the server, by the idle time-out, by the absolute one, or by being revoked, and then at once: no
// verdict is cached. sessiontest holds the conformance suite for stores, [Memory] is one for tests and demos.
//
// The cookie is `__Host-merlon_session`: Secure, HttpOnly, SameSite=Lax, for the whole host and no other (RFC 6265bis,
// section 4.1.3.2), without a lifetime of its own.
//
// # Time-outs
//
// The defaults are 30 minutes idle and 12 hours in all. OWASP recommends 15 to 30 minutes and 4 to 12 hours; NIST
// SP 800-63B-4 allows an hour and 24 hours at AAL2, 30 days in all at AAL1. ASVS 5.0 (7.3.1, 7.3.2) wants both,
// and the choice written down.
//
// That a session was seen is not written while it is being verified. It is collected in memory and written once a
// minute by [Manager.Run]; the idle time-out counts from the later of the two. Another process, or this one after a
// crash, knows the written instant only, and may end a session up to a minute early. Never late.
//
// # What it does not do
//
// It does not authenticate, does not protect against cross-site requests (the cookie is ambient), and does not bind a
// session to an address or a browser: both are recorded for the owner to look at.
package session
