// Package token issues and verifies access tokens, and the refresh tokens that renew them.
//
// An access token is a JWT (RFC 9068) that lives for minutes, signed with one algorithm that the configuration names. A
// refresh token is an opaque text of 256 random bits, good for one use: using it gives the next one. All tokens that
// come from one login are a family, kept as a [Grant] in a [Store]. A refresh token that is used a second time was
// stolen, before or after, and ends the family (RFC 9700 section 4.14.2). A [Manager] does all this; a family that has
// ended, by whatever reason, ends its access tokens at once: each verification looks its grant up.
//
// A [KeySet] verifies signatures alone, strictly (RFC 8725): compact form, the one algorithm, a known kid, nothing in
// the header but alg, typ and kid, one spelling of everything. A [Verifier] adds the claims of access tokens; services
// beside Merlon use it with the published keys. Neither ever fetches anything: keys are given to them.
//
// # Signing keys
//
// They are kept in a [KeyStore], encrypted with AES-256-GCM under a key that HKDF derives from the secret, so that who
// reads or writes the store neither signs nor plants a key. The first start makes one; of several processes that start at once
// one makes it. A key signs for 90 days. Its successor is made, and published, a day before, so that whoever polls the
// keys in between knows it when it is used. The old one verifies until the last token it may have signed is over.
//
// The name of a key (kid) is its thumbprint (RFC 7638).
//
// # What it does not do
//
// It does not authenticate people and knows nothing of what an account may do now: cut the scopes of a token to that
// (package authn does). Tokens are bearer tokens: whoever has one can use it.
package token
