package ratelimit_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/merlonhq/merlon/ratelimit"
)

func TestALimiterThatReplacesAnotherGoesOnWithItsCounts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		broken bool
	}{{"in its store", false}, {"in its memory, while the store fails", true}} {
		f := newFragile(t)
		f.broken.Store(tt.broken)
		var n notes
		limiter := func(max int, replaces *ratelimit.Limiter) *ratelimit.Limiter {
			t.Helper()
			l, err := ratelimit.New(ratelimit.Config{Store: f, OnStoreError: ratelimit.Local, OnMisuse: n.note, Replaces: replaces,
				Default: ratelimit.Rule{Limits: []ratelimit.Limit{{Max: max, Window: time.Hour}}, By: []ratelimit.Part{ratelimit.ByAddress}}})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		try := func(l *ratelimit.Limiter, want int) {
			t.Helper()
			w := httptest.NewRecorder()
			l.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, httptest.NewRequest("GET", "/posts", nil))
			if w.Code != want {
				t.Fatalf("%s: status %d, want %d", tt.name, w.Code, want)
			}
		}
		first := limiter(3, nil)
		try(first, 200)
		second := limiter(3, first)
		try(second, 200)
		try(first, 200) // a request that was on its way
		try(second, 429)
		other := limiter(2, second) // another limit is another count
		try(other, 200)
		n.want(t)
	}
}

func TestALimiterThatReplacesAnotherTakesItsMemory(t *testing.T) {
	var n notes
	cfg := ratelimit.Config{OnMisuse: n.note, Address: ratelimit.Rule{Limits: []ratelimit.Limit{{Max: 1, Window: time.Hour}}}}
	first, err := ratelimit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Replaces = first
	second, err := ratelimit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.want(t)
	for i, want := range []int{200, 429} {
		w := httptest.NewRecorder()
		[]*ratelimit.Limiter{first, second}[i].Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != want {
			t.Errorf("request %d: status %d, want %d", i+1, w.Code, want)
		}
	}
	// In another place it is a mistake still.
	cfg.Store, cfg.Replaces = newMemory(t, 1024), nil
	if _, err := ratelimit.New(cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Replaces = first
	if _, err := ratelimit.New(cfg); err != nil {
		t.Fatal(err)
	}
	n.want(t, "N003")
}
