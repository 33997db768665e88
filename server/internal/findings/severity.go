package findings

import "slices"

// A Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Low      Severity = "low"      // better otherwise
	Medium   Severity = "medium"   // a control is weaker than it seems
	High     Severity = "high"     // a control can be passed
	Critical Severity = "critical" // the service must not be started like this
)

// Severities are all of them, the least first.
func Severities() []Severity { return []Severity{Low, Medium, High, Critical} }

// AtLeast reports whether s is floor or worse. What is no severity is worse than all.
func (s Severity) AtLeast(floor Severity) bool {
	all := Severities()
	i := slices.Index(all, s)
	return i < 0 || i >= slices.Index(all, floor)
}
