package ratelimit

import (
	"context"
	"errors"
	"time"
)

// Request asks a [Store] for Weight units of the quota that Key and Limit name. A count belongs to both: the
// same Key under another Limit is another count.
type Request struct {
	// Key names the count.
	Key Key
	// Limit is the quota. It must not change while a call uses it.
	Limit *Limit
	// Weight is how many units the request costs. Zero counts as one: nothing is free by omission.
	Weight uint32
	// Peek asks whether there is room, without counting. The other requests of the call still wait for it.
	Peek bool
}

// weight is what the request costs.
func (r *Request) weight() int64 { return int64(max(r.Weight, 1)) }

// Result is the state of one quota after a call.
type Result struct {
	// Allowed is whether this quota had room. A call counts only if every one of its requests is allowed.
	Allowed bool
	// Limit is the quota's Max.
	Limit int
	// Remaining is how many units could be admitted now, after this call: 0 to Limit (to Burst for a token bucket).
	Remaining int
	// Reset is how long until Remaining grows if nothing else is admitted; zero if nothing is in use.
	Reset time.Duration
	// RetryAfter is, when not Allowed, how long until the same request would be allowed if nothing else is
	// admitted. A request heavier than the whole quota never is: RetryAfter is then the Window.
	RetryAfter time.Duration
	// Stamp belongs to the store: GiveBack gets it as Take wrote it.
	Stamp int64
}

// Store keeps the counts. Implementations are safe for concurrent use and pass
// [github.com/merlonhq/merlon/ratelimit/ratelimittest.Run].
//
// Obligations of every method:
//   - It decides about all requests of a call at one instant of the store's own clock, which never steps back:
//     neither the caller's clock nor a change of the wall clock matters.
//   - It fills res[i] for reqs[i]; len(res) >= len(reqs), or it answers [ErrResults]. It keeps neither slice.
//   - A request with an invalid Limit makes the call fail with [ErrInvalidLimit], and nothing is counted.
//   - On any error nothing may be assumed counted, and res is to be ignored. It returns as soon as ctx ends.
//   - Several requests of one call may name the same count: their weights add up.
type Store interface {
	// Take counts all requests (but those with Peek) or none, atomically: if one is not allowed, none consumes
	// anything. For a SlidingWindow no half-open window of the limit's length ever holds more than Max units, and
	// a request is refused only if, with it, more than Max units would lie in the last Window × (1 + 1/15).
	// Limits of up to 32 are exact within a resolution of Window / 2048 or finer.
	Take(ctx context.Context, reqs []Request, res []Result) error

	// GiveBack returns what a Take counted (not: peeked), given the requests and results of that Take. Units that
	// have already left their window are not returned twice. Giving back never raises a quota above its limit.
	// Call it at most once for each Take that was allowed.
	GiveBack(ctx context.Context, reqs []Request, res []Result) error
}

// ErrResults is what a [Store] answers to a call with fewer results than requests.
var ErrResults = errors.New("ratelimit: fewer results than requests")
