//go:build unix

package chaos_test

import (
	"errors"
	"testing"
	"time"
)

// The judges find what they are to find, and nothing beside it.
func TestTheJudges(t *testing.T) {
	start := time.Now()
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	answer := func(sent, received float64, node, status int, code string, well ...int) outcome {
		return outcome{call: call{well: well}, node: node, sent: at(sent), received: at(received), status: status, code: code}
	}
	broken := outcome{node: 1, sent: at(11), received: at(12), err: errors.New("reset")}
	hanging := outcome{node: 1, sent: at(11), received: at(11).Add(hung), err: errors.New("deadline")}
	storeless := answer(11, 12, 0, 503, "store-unavailable", 200)
	storeless.noStore = true
	everywhere := func(what string) []trouble { return []trouble{{what: what, from: at(10), to: at(20)}} }
	one := []trouble{{what: database, nodes: []int{1}, from: at(10), to: at(20)}}
	for _, tt := range []struct {
		name     string
		o        outcome
		troubles []trouble
		wrong    bool
	}{
		{"what it should be", answer(1, 2, 0, 200, "", 200), nil, false},
		{"another status", answer(1, 2, 0, 404, "not-found", 200), nil, true},
		{"503 without a trouble", answer(1, 2, 0, 503, "store-unavailable", 200), nil, true},
		{"503 without PostgreSQL", answer(11, 12, 0, 503, "store-unavailable", 200), everywhere(database), false},
		{"503 that began before it came back", answer(19, 22, 0, 503, "store-unavailable", 200), everywhere(database), false},
		{"503 after it came back", answer(21, 22, 0, 503, "store-unavailable", 200), everywhere(database), true},
		{"503 of another kind", answer(11, 12, 0, 503, "overloaded", 200), everywhere(database), true},
		{"401 without PostgreSQL", answer(11, 12, 0, 401, "unauthenticated", 200), everywhere(database), true},
		{"500 without PostgreSQL", answer(11, 12, 0, 500, "internal-error", 200), everywhere(database), true},
		{"503 of what needs no store", storeless, everywhere(database), true},
		{"503 without Redis", answer(11, 12, 0, 503, "store-unavailable", 200), everywhere(limits), true},
		{"503 of the node that is cut off", answer(11, 12, 1, 503, "store-unavailable", 200), one, false},
		{"503 of another node", answer(11, 12, 0, 503, "store-unavailable", 200), one, true},
		{"a connection of a node that is killed", broken, everywhere(process), false},
		{"a connection without a reason", broken, nil, true},
		{"a connection without PostgreSQL", broken, everywhere(database), true},
		{"an answer that does not come", hanging, everywhere(process), true},
	} {
		if got := wrong(tt.o, tt.troubles); (got != "") != tt.wrong {
			t.Errorf("%s: %q, wrong: %v", tt.name, got, tt.wrong)
		}
	}

	admitted := func(n int, from, to float64) (all []outcome) {
		for i := range n {
			o := answer(from+(to-from)*float64(i)/float64(n), from+(to-from)*float64(i+1)/float64(n), 0, 200, "")
			o.name = "a limited route"
			all = append(all, o)
		}
		return all
	}
	const window = float64(limitedWithin / time.Second)
	for _, tt := range []struct {
		name     string
		admitted []outcome
		troubles []trouble
		over     bool
	}{
		{"the limit", admitted(limitedTo, 0, window-1), nil, false},
		{"one more", admitted(limitedTo+1, 0, window-1), nil, true},
		{"one more in a longer time", admitted(limitedTo+1, 0, window+1), nil, false},
		{"more without PostgreSQL", admitted(limitedTo+1, 11, 10+window), everywhere(database), true},
		{"the shares without Redis", admitted(2*limitedTo, 11, 10+window), everywhere(limits), false},
		{"too much without Redis", admitted(4*limitedTo, 11, 10+window), everywhere(limits), true},
		{"the shares long after", admitted(2*limitedTo, 21+window, 20+2*window), everywhere(limits), true},
	} {
		if _, over := overLimit(tt.admitted, tt.troubles); (len(over) > 0) != tt.over {
			t.Errorf("%s: %v, over: %v", tt.name, over, tt.over)
		}
	}

	revoked := &credential{at: at(10)}
	for _, tt := range []struct {
		name   string
		o      outcome
		counts int
	}{
		{"taken within the bound", answer(10.9, 11.5, 0, 200, ""), 0},
		{"taken after it", answer(11, 11.5, 0, 200, ""), 1},
		{"refused after it", answer(11, 11.5, 0, 401, ""), 0},
		{"not known after it", answer(11, 11.5, 0, 503, ""), 0},
	} {
		l := newLedger()
		if l.checked(revoked, tt.o); len(l.accepted) != tt.counts {
			t.Errorf("%s: %d accepted, want %d", tt.name, len(l.accepted), tt.counts)
		}
	}

	forged := answer(0, 1, 0, 200, "")
	forged.forged = true
	refused := forged
	refused.status = 403
	if !letThrough(forged) || letThrough(refused) || letThrough(answer(0, 1, 0, 200, "")) {
		t.Error("what is let through is a forged request with a status below 300")
	}
}
