package ratelimit_test

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/merlonhq/merlon/ratelimit"
)

// The forms of the fields, from draft-ietf-httpapi-ratelimit-headers and RFC 9651: lists of strings with parameters.
var (
	policyItem = regexp.MustCompile(`^"([a-z0-9_-]+)";q=([1-9][0-9]*);w=([1-9][0-9]*)$`)
	limitItem  = regexp.MustCompile(`^"([a-z0-9_-]+)";r=(0|[1-9][0-9]*)(?:;t=([1-9][0-9]*))?$`)
)

// said is what an answer says of its quotas.
type said struct {
	names              []string
	q, r, t            []int
	limit, remaining   int
	reset, retry, unix int // Retry-After is 0 where there is none
}

func read(w *httptest.ResponseRecorder) (s said, problem string) {
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil && text != "" {
			problem = fmt.Sprintf("%q is no number", text)
		}
		return n
	}
	for _, item := range strings.Split(w.Header().Get("RateLimit-Policy"), ", ") {
		m := policyItem.FindStringSubmatch(item)
		if m == nil {
			return s, fmt.Sprintf("RateLimit-Policy item %q", item)
		}
		s.names, s.q = append(s.names, m[1]), append(s.q, number(m[2]))
	}
	for i, item := range strings.Split(w.Header().Get("RateLimit"), ", ") {
		m := limitItem.FindStringSubmatch(item)
		if m == nil || i >= len(s.names) || m[1] != s.names[i] {
			return s, fmt.Sprintf("RateLimit item %q beside the policies %q", item, s.names)
		}
		s.r, s.t = append(s.r, number(m[2])), append(s.t, number(m[3]))
	}
	if len(s.r) != len(s.names) {
		return s, "there are more policies than limits"
	}
	s.limit, s.remaining = number(w.Header().Get("X-RateLimit-Limit")), number(w.Header().Get("X-RateLimit-Remaining"))
	s.unix, s.retry = number(w.Header().Get("X-RateLimit-Reset")), number(w.Header().Get("Retry-After"))
	s.reset = s.unix - int(time.Now().Unix())
	return s, problem
}

// Whatever the limits and the arrivals are: the fields have their form, the legacy headers are those of the most
// restrictive limit, no t is later than Retry-After, and a client that waits as long as Retry-After says gets through.
func TestWhoObeysRetryAfterGetsThrough(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Custom(func(rt *rapid.T) ratelimit.Limit {
			l := ratelimit.Limit{Max: rapid.OneOf(rapid.IntRange(1, 8), rapid.IntRange(33, 50)).Draw(rt, "max"), Window: time.Duration(rapid.IntRange(1, 100).Draw(rt, "seconds")) * time.Second}
			if rapid.Bool().Draw(rt, "bucket") {
				l.Algorithm, l.Burst = ratelimit.TokenBucket, rapid.IntRange(1, 60).Draw(rt, "burst")
			}
			return l
		})
		rules := []ratelimit.Rule{
			{Name: "one", Match: []string{"GET /posts"}, By: []ratelimit.Part{"address"},
				Limits: rapid.SliceOfNDistinct(limit, 1, 3, func(l ratelimit.Limit) time.Duration { return l.Window }).Draw(rt, "one")},
			{Name: "two", Match: []string{"GET /posts"}, By: []ratelimit.Part{"route"}, Limits: []ratelimit.Limit{limit.Draw(rt, "two")}},
		}
		waits := rapid.SliceOfN(rapid.OneOf(rapid.Just(int64(0)), rapid.Just(int64(0)), rapid.Int64Range(0, int64(4*time.Second))), 100, 200).Draw(rt, "waits")
		problem := ""
		synctest.Test(t, func(t *testing.T) {
			s := newService(t, ratelimit.Config{Rules: rules, Address: ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 1e6, Window: time.Second}}}}, nil, ok)
			obeyed := false
			for i, wait := range waits {
				w := s.send("GET /posts", client)
				got, wrong := read(w)
				if problem = wrong; problem == "" {
					problem = contradiction(w.Code, got)
				}
				if obeyed && w.Code != 200 {
					problem = "refused after waiting as told"
				}
				if problem != "" {
					problem = fmt.Sprintf("arrival %d, status %d: %s: %+v", i, w.Code, problem, got)
					return
				}
				if obeyed = w.Code == 429; obeyed {
					time.Sleep(time.Duration(got.retry) * time.Second)
				} else {
					time.Sleep(time.Duration(wait))
				}
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func contradiction(status int, s said) string {
	if status == 200 {
		least := slices.Min(s.r)
		switch {
		case s.retry != 0:
			return "Retry-After on an answer that is no refusal"
		case s.remaining != least:
			return fmt.Sprintf("%d remain, and the least is %d", s.remaining, least)
		case !slices.ContainsFunc(s.names, func(string) bool { return slices.Contains(s.q, s.limit) }):
			return "a limit that no policy has"
		}
		return ""
	}
	switch {
	case status != 429:
		return "a status of something else"
	case s.retry < 1 || s.retry < slices.Max(s.t):
		return "Retry-After is earlier than a t, or missing"
	case s.remaining != 0 && slices.Min(s.r) != 0:
		return "something remains of every limit"
	}
	return ""
}
