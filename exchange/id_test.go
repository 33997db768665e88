package exchange

import "testing"

func TestIDsOfABatchAndOfTheNextAreAllDifferent(t *testing.T) {
	var p ids
	seen := map[string]bool{}
	for range 5 * idBatch {
		id := p.next()
		if len(id) != 26 || seen[id] {
			t.Fatalf("id %q is no id, or twice", id)
		}
		seen[id] = true
	}
}
