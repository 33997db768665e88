// Package password stores passwords, checks them and says which may be chosen.
//
// A [Hasher] turns a password into a hash for storage (argon2id, or bcrypt by choice) and compares the two again. It
// refuses cost parameters under the floor of the OWASP Password Storage Cheat Sheet, and it bounds how many hashes
// are computed at once, because each takes 19 MiB and tens of milliseconds: beyond a short queue it answers
// [ErrOverloaded]. Hashes of both algorithms are verified whatever the configuration, and Verify says when a hash
// should be made anew.
//
// A [Policy] decides about a password that somebody wants to set, after NIST SP 800-63B-4, section 3.1.1: a minimum
// and a maximum length, a block list compared with the whole password, and words of the context (the service, the
// username, the e-mail address). It has no composition rules, and lets every printing character and the space pass.
// It is for new passwords only: never apply it at login.
//
// # Normal form
//
// The same password can be typed as different bytes: "é" as one code point or as two, depending on the keyboard. Both
// sides therefore apply the OpaqueString profile's mapping (RFC 8265, section 4.2: spaces other than U+0020 become
// U+0020, then Unicode Normalization Form C) before counting, hashing and verifying. Form C and not KC: KC would fold
// characters that people tell apart ("²" and "2") and shrink the space of passwords. Case is kept. Nothing is ever
// truncated. Text that is not valid UTF-8 has no normal form and is refused. Only the block list compares more
// broadly (form KC, case folded), since it errs on the side of refusing.
//
// # What it does not do
//
// It does not limit attempts, does not know accounts, does not look up breaches over the network, and does not judge
// strength by a score: such meters take seconds for a long input.
package password
