// Package nearest finds what somebody meant who misspelt a name.
package nearest

// Name returns the candidate with the fewest edits from name, or "" when none is
// near enough to be what was meant.
func Name(name string, candidates []string) string {
	if len(name) > 64 {
		return ""
	}
	best, bestDistance := "", 1+max(2, len(name)/3)
	for _, c := range candidates {
		if d := editDistance(name, c); d < bestDistance && d < len(name) {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of
// neighbours (optimal string alignment).
func editDistance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}
