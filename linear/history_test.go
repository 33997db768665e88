package linear_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A history is what clients did and were answered, on one clock.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func newHistory() *history { return &history{began: time.Now()} }

// never is the end of a call whose outcome is not known: it may happen at any time, or not at all.
const never = math.MaxInt64

// add makes a call and notes it. call returns the output, whether it is known, and by how long the call may have been
// answered from what was true before it began.
func (h *history) add(client int, input any, call func() (output any, known bool, stale time.Duration)) {
	begin := time.Since(h.began)
	output, known, stale := call()
	end := int64(time.Since(h.began))
	if !known {
		end = never
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{
		ClientId: client, Input: input, Output: output,
		// Two calls at one instant of a coarse clock are concurrent: porcupine takes the begin first.
		Call: max(0, int64(begin-stale)), Return: end,
	})
}

// patience is how long a history may take to judge. One of these takes some milliseconds.
const patience = 2 * time.Minute

// verdict returns what porcupine says of the history. A drawing of one that is not linearizable is kept.
func (h *history) verdict(t *testing.T, m porcupine.Model) porcupine.CheckResult {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(m, h.ops, patience)
	if dir := os.Getenv("LINEAR_DRAWINGS"); result == porcupine.Illegal && dir != "" {
		path := filepath.Join(dir, fmt.Sprintf("%d.html", time.Now().UnixNano()))
		if err := porcupine.VisualizePath(m, info, path); err != nil {
			t.Error(err)
		}
		t.Logf("the history is drawn in %s", path)
	}
	return result
}

// outcomes counts the outputs by input kind, so that a test can see that something happened.
func (h *history) outcomes(name func(porcupine.Operation) string) map[string]int {
	n := map[string]int{}
	for _, op := range h.ops {
		n[name(op)]++
	}
	return n
}

// seed is that of the random choices of a test; they differ from run to run.
func seed(t *testing.T) uint64 {
	s := rand.Uint64()
	t.Logf("seed %d", s)
	return s
}

// A family is a key or a refresh token and what came out of it. Its members are numbered from 0, in the order in which
// numbers were drawn; the text of one is known once the call that made it has been answered.
type family struct {
	mu    sync.Mutex
	next  int
	texts map[int]string
	ids   map[int]string
}

// most is how many members a family may have: the models count them in 64 bits.
const most = 60

func newFamily(text, id string) *family {
	return &family{next: 1, texts: map[int]string{0: text}, ids: map[int]string{0: id}}
}

// draw returns a number for a member that may come to be.
func (f *family) draw() (n int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == most {
		return 0, false
	}
	f.next++
	return f.next - 1, true
}

func (f *family) born(n int, text, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texts[n], f.ids[n] = text, id
}

// members returns the numbers of those that are known, ascending.
func (f *family) members() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []int
	for n := range f.texts {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// pick returns a member: mostly one of the last, which are those that something can be done with.
func (f *family) pick(r *rand.Rand) int {
	all := f.members()
	if r.IntN(2) == 0 {
		return all[len(all)-1]
	}
	return all[r.IntN(len(all))]
}

func (f *family) of(n int) (text, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.texts[n], f.ids[n]
}

// together runs clients side by side.
func together(clients int, seed uint64, do func(client int, r *rand.Rand)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for c := range clients {
		all.Go(func() {
			<-start
			do(c, rand.New(rand.NewPCG(seed, uint64(c))))
		})
	}
	close(start)
	all.Wait()
}
