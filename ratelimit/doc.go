// Package ratelimit limits how often clients call: at most so many requests in a window of time, counted by
// address, principal, session, API key, header, route, or any combination.
//
// # What it refuses
//
// A request for which a rule that counts it has no quota left is refused with 429: a problem document of type
// quota-exceeded that names the violated policies, and a Retry-After that succeeds when it is obeyed. Limits are
// strict by default: no window of a limit's length ever holds more than its Max, whatever the arrivals are; see
// [Store.Take]. A request that is refused consumes nothing. While the store fails, requests are refused with 503,
// never 429 or 401, unless the configuration says to let them pass or to count on this node alone; a [Breaker] keeps
// them from waiting for it.
//
// # What it lets pass
//
// Everything else, with RateLimit-Policy, RateLimit and X-RateLimit-Limit, -Remaining and -Reset on the answer.
// Health probes and exempt networks are not counted at all.
//
// # Where it stands
//
// A [Limiter] has two taps. [Limiter.Before] stands before authentication: it counts every request by address (a
// coarse guard), refuses addresses that presented too many bad credentials, and counts what needs nothing of
// authentication. [Limiter.After] counts the rest by who is calling. Handlers that test a password or a code call
// [Limiter.TakeAccount] first; those that know only inside what a request costs call [Limiter.Take]. The order of taps
// and rules is not configuration: rules replace the default rule on their routes, and add to the guards.
//
// # What it finds
//
// Uses that work and probably are mistakes (a request counted twice, a rule that counts nowhere or by what the client
// chooses, a limiter for each request) are told of once, each with an id: see [Misuse].
//
// # What it does not do
//
// It does not find out the client's address (package clientip does), delay or queue requests, bound how many are
// served at a time, or stop a flood that fills the network. Counts of a [Memory] are those of one process and end
// with it.
package ratelimit
