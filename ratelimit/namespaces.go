package ratelimit

import "sync"

// A Claimer is a [Store] that knows which namespaces are in use. Claim reports whether nobody had claimed this one.
type Claimer interface {
	Claim(namespace string) bool
}

// Namespaces are those that the limiters of this process have claimed: embedded in a [Store], they make it a
// [Claimer]. The zero Namespaces are ready for use. Limiters of other processes are meant to share counts, so they
// are not known here.
type Namespaces struct {
	mu      sync.Mutex
	claimed map[string]bool
}

// Claim implements [Claimer].
func (n *Namespaces) Claim(namespace string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.claimed[namespace] {
		return false
	}
	if n.claimed == nil {
		n.claimed = map[string]bool{}
	}
	n.claimed[namespace] = true
	return true
}
