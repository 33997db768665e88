package ratelimit

import (
	"errors"
	"fmt"
	"time"
)

// Algorithm is how a [Limit] counts.
type Algorithm uint8

const (
	// SlidingWindow is strict: no window of the limit's length ever holds more than Max admissions, for any
	// arrival pattern and any weights. It is the zero value.
	SlidingWindow Algorithm = iota
	// TokenBucket is the generic cell rate algorithm (GCRA): a steady rate of Max per Window, with up to Burst
	// at once. A window that begins with a full bucket may hold up to Max + Burst admissions.
	TokenBucket
)

// Bounds of a [Limit].
const (
	// MaxMax is the largest Max (and Burst): 16,777,215, what 24 bits hold.
	MaxMax = 1<<24 - 1
	// MinWindow is the shortest Window. The RateLimit-Policy field counts in whole seconds.
	MinWindow = time.Second
	// MaxWindow is the longest Window: a leap year.
	MaxWindow = 366 * 24 * time.Hour
)

// Limit is one quota: at most Max in Window. The zero Limit is invalid; every store refuses it with
// [ErrInvalidLimit].
type Limit struct {
	// Max is the most that is admitted in one Window, in units of weight: 1 to [MaxMax].
	Max int
	// Window is the length of the window: whole seconds, [MinWindow] to [MaxWindow].
	Window time.Duration
	// Algorithm is SlidingWindow (the zero value) or TokenBucket.
	Algorithm Algorithm
	// Burst is, for TokenBucket only, the most that is admitted at once: 1 to [MaxMax]. Filling an empty
	// bucket (Burst × Window / Max) may take no longer than [MaxWindow]. Zero for SlidingWindow.
	Burst int
}

// ErrInvalidLimit is what a [Store] answers to a request whose [Limit] it cannot count, because it does not validate.
var ErrInvalidLimit = errors.New("ratelimit: limit does not validate")

// Validate reports every broken rule at once, joined.
func (l *Limit) Validate() error {
	var errs []error
	if l.Max < 1 || l.Max > MaxMax {
		errs = append(errs, fmt.Errorf("limit %d is out of range: give 1 to %d", l.Max, MaxMax))
	}
	if l.Window < MinWindow || l.Window > MaxWindow || l.Window%time.Second != 0 {
		errs = append(errs, fmt.Errorf("window %v is out of range: give whole seconds from %v to %v",
			l.Window, MinWindow, MaxWindow))
	}
	switch {
	case l.Algorithm > TokenBucket:
		errs = append(errs, fmt.Errorf("algorithm %d is unknown: give SlidingWindow or TokenBucket", l.Algorithm))
	case l.Algorithm == SlidingWindow && l.Burst != 0:
		errs = append(errs, fmt.Errorf("burst %d belongs to the token bucket: leave it out of a sliding window", l.Burst))
	case l.Algorithm == TokenBucket && (l.Burst < 1 || l.Burst > MaxMax):
		errs = append(errs, fmt.Errorf("burst %d is out of range: give 1 to %d", l.Burst, MaxMax))
	case len(errs) == 0 && !l.countable():
		errs = append(errs, fmt.Errorf("burst %d takes longer than %v to refill at %d per %v: give less",
			l.Burst, MaxWindow, l.Max, l.Window))
	}
	return errors.Join(errs...)
}

// countable is Validate without what only concerns answers, cheap enough for every decision: an unchecked limit
// must not become a division by zero or an open door.
func (l *Limit) countable() bool {
	if l == nil || l.Max < 1 || l.Max > MaxMax || l.Window < MinWindow || l.Window > MaxWindow {
		return false
	}
	if l.Algorithm == SlidingWindow {
		return l.Burst == 0
	}
	return l.Algorithm == TokenBucket && l.Burst >= 1 && l.Burst <= MaxMax && int64(l.Burst) <= int64(MaxWindow)/l.interval()
}

// interval is the time one unit of a token bucket takes to come back, rounded up: never a higher rate.
func (l *Limit) interval() int64 { return (int64(l.Window) + int64(l.Max) - 1) / int64(l.Max) }

// capacity is the most one request may weigh.
func (l *Limit) capacity() int {
	if l.Algorithm == TokenBucket {
		return l.Burst
	}
	return l.Max
}
