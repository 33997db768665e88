// Package apikey makes, stores, checks, rotates and revokes API keys.
//
// A key is text that programs carry:
//
//	mrl_live_8ZkQ0d3VYcW1n5Tb_<secret of 43 characters><checksum of 6>
//
// The prefix and the environment make it recognisable to secret scanners, and the checksum lets them, and us, tell a
// key from noise without a look-up. The part after the environment is the look-up id: 16 random characters, stored in
// clear and indexed. It is not the id of the key as an object (`key_<uuid>`), which appears in the API and in events,
// stays in logs for years, and opens nothing: the two are stored side by side and neither can be computed from the
// other. The secret has 256 bits and is stored as its SHA-256 only; a slow hash would add nothing to a secret that
// cannot be guessed.
//
// [Parse] and [Generate] know the format. A [Manager] holds the life of keys over a [Store]: who may create which,
// expiry, addresses, rotation with an overlap, revocation, last use. [Manager.Verify] is the hot path: positive
// verdicts are kept, for at most a second where nobody tells what other processes change (Config.Fresh), and what this
// process changes is forgotten at once. apikeytest holds the
// conformance suite for stores, [Memory] is one for tests and demos.
//
// It refuses keys that are malformed, unknown, of another environment, revoked, disabled, expired, or presented from
// an address that the key does not allow, each with its own error. It does not decide about the scopes of a route and
// does not count requests: both are in the [Record] for the caller. It does not know whether the owner's account is
// still active: the caller revokes the keys of an account that ends ([Manager.RevokeOwner]).
package apikey
