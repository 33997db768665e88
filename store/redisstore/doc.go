// Package redisstore keeps the counts of rate limits in Redis or Valkey, so that all instances of a service share
// them.
//
// A [Store] is a [ratelimit.Store]: strict sliding windows and token buckets, decided by the server's own clock, all
// requests of a call in one script and one round trip. It imports no client. It is given one function, [Eval], that
// runs a script; the example has it for one client in a few lines. A Store has no deadline of its own and knows no
// outage: put it into a [ratelimit.Breaker].
//
// # What it keeps
//
// One string for each count, named PREFIX:{TAG}:RULE:HASH. HASH is 128 bits of the SHA-256 of who and what is
// counted, so that a name shows no address, account or header value. It is no secret: whoever can read the names can
// try addresses. Every string expires when it says nothing any more, at most 16/15 of the window after the last
// request that was admitted. count.lua tells what is in it.
//
// # Cluster
//
// TAG chooses the slot: it is made of one part of the key, such as the principal or the address, so that the counts
// that one call needs are mostly in one slot. Calls whose counts are in several run one script for each, at the
// same time. Should one of them refuse, what the others counted is given back. Until then another request may be
// refused that would have fitted; none is ever admitted that does not.
//
// # What it needs
//
// Redis 5 or later, or Valkey, and a primary: scripts write. Commands in scripts: GET, SET, SETRANGE, DEL, TIME.
package redisstore
