//go:build unix

package chaos_test

import (
	"slices"
	"time"
)

// What a fault takes away.
const (
	database = "PostgreSQL"
	limits   = "Redis"
	process  = "node"
)

// A trouble is a time in which nodes are without something: from the fault until they are back.
type trouble struct {
	what     string
	nodes    []int // none: all
	from, to time.Time
}

func (tr trouble) touches(o outcome) bool {
	return !o.received.Before(tr.from) && !o.sent.After(tr.to) && (len(tr.nodes) == 0 || slices.Contains(tr.nodes, o.node))
}

// wrong says what is wrong with an outcome, or nothing.
//
// While a node is without PostgreSQL, what needs it is answered 503, never 401, 403, 404, 429 or 500. Without Redis
// every answer stays as it was, for each node limits by its share (on_store_error: local). A node that is killed loses
// the connections to it. Nothing else may fail, and nothing may hang.
func wrong(o outcome, troubles []trouble) string {
	var without []string
	for _, tr := range troubles {
		if tr.touches(o) {
			without = append(without, tr.what)
		}
	}
	switch {
	case o.err != nil && o.took() >= hung:
		return "it hung"
	case o.err != nil && slices.Contains(without, process):
		return ""
	case o.err != nil:
		return "the connection failed"
	case slices.Contains(o.well, o.status):
		return ""
	case o.status == 503 && o.code == "store-unavailable" && !o.noStore && slices.Contains(without, database):
		return ""
	}
	return "the status"
}

// letThrough reports whether a control let a forged call through.
func letThrough(o outcome) bool { return o.forged && o.err == nil && o.status < 300 }
