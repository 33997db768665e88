package ratelimit

import (
	"strconv"
	"time"
)

// The writers below append to dst and allocate nothing else. A list of several items is joined with ", ": append
// that between calls. See draft-ietf-httpapi-ratelimit-headers (RateLimit and RateLimit-Policy, Lists of Items
// of RFC 9651).

// AppendPolicy appends the RateLimit-Policy item of a limit, such as
//
//	"default";q=100;w=60
//
// For a token bucket q is Max, the rate; a burst has no parameter in the draft.
func AppendPolicy(dst []byte, name string, l *Limit) []byte {
	dst = appendString(dst, name)
	dst = append(dst, ";q="...)
	dst = strconv.AppendInt(dst, int64(l.Max), 10)
	dst = append(dst, ";w="...)
	return strconv.AppendInt(dst, Seconds(l.Window), 10)
}

// AppendRateLimit appends the RateLimit item of a result, such as
//
//	"default";r=50;t=30
//
// where t is the time until more quota is free, in seconds rounded up; it is left out while nothing is used.
func AppendRateLimit(dst []byte, name string, r *Result) []byte {
	dst = appendString(dst, name)
	dst = append(dst, ";r="...)
	dst = AppendRemaining(dst, r)
	if r.Reset > 0 {
		dst = append(dst, ";t="...)
		dst = strconv.AppendInt(dst, Seconds(r.Reset), 10)
	}
	return dst
}

// appendString appends a String of RFC 9651 section 3.3.3. What a String cannot hold becomes a question mark;
// names of rules hold nothing of that kind.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c >= 0x7f:
			dst = append(dst, '?')
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// AppendRemaining appends the value of X-RateLimit-Remaining. It is never above the limit, as what a token bucket
// holds may be.
func AppendRemaining(dst []byte, r *Result) []byte {
	return strconv.AppendInt(dst, int64(r.told()), 10)
}

// told is what answers say remains.
func (r *Result) told() int { return min(r.Remaining, r.Limit) }

// AppendReset appends the value of X-RateLimit-Reset: the Unix time, in seconds rounded up, at which more quota
// is free.
func AppendReset(dst []byte, now time.Time, r *Result) []byte {
	at := now.Add(r.Reset)
	sec := at.Unix()
	if at.Nanosecond() > 0 {
		sec++
	}
	return strconv.AppendInt(dst, sec, 10)
}

// Seconds is d in whole seconds rounded up, as Retry-After and the t parameter have it: a client that waits as
// told is not early.
func Seconds(d time.Duration) int64 {
	return int64((d + time.Second - 1) / time.Second)
}
