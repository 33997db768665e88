package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
)

// KindConfig says what every event of a kind has in common.
type KindConfig struct {
	// Type is a name in the manner of the OWASP Logging Vocabulary, such as "sensitive_read":
	// lower-case letters, digits and underscores, at most 64, beginning with a letter. Types
	// of this package are not to be had: their meaning is fixed.
	Type Type
	// Category is one of the categories. Empty is the one that follows from Type.
	Category Category
	// Severity is how much the events matter.
	Severity Severity
	// Outcome is how what they tell of ended.
	Outcome Outcome
	// Description is one fixed sentence for people, of at most 256 bytes. It holds nothing that a client sent.
	Description string
}

// A Kind makes events of a type that this package does not have, for applications that
// record what they do: declared once, they cannot lack anything later. It does not change
// after [NewKind].
type Kind struct{ event Event }

var typeForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// NewKind returns all that is wrong with cfg at once.
func NewKind(cfg KindConfig) (*Kind, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("audit: "+format, args...)) }
	switch {
	case !typeForm.MatchString(string(cfg.Type)):
		bad("Type is %q: want lower-case letters, digits and underscores, at most 64, beginning with a letter", cfg.Type)
	case cfg.Type.Description() != "":
		bad("Type %q is one of Merlon's own: choose another", cfg.Type)
	}
	if cfg.Category == "" {
		cfg.Category = cfg.Type.Category()
	}
	if categories := Categories(); !slices.Contains(categories, cfg.Category) {
		bad("Category is %q: want one of %q", cfg.Category, categories)
	}
	if severities := Severities(); !slices.Contains(severities, cfg.Severity) {
		bad("Severity is %q: want one of %q", cfg.Severity, severities)
	}
	if outcomes := Outcomes(); !slices.Contains(outcomes, cfg.Outcome) {
		bad("Outcome is %q: want one of %q", cfg.Outcome, outcomes)
	}
	if cfg.Description == "" || len(cfg.Description) > maxDescription {
		bad("Description has %d bytes: want one sentence, 1 to %d", len(cfg.Description), maxDescription)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Kind{Event{Type: cfg.Type, Category: cfg.Category, Severity: cfg.Severity, Outcome: cfg.Outcome, Description: cfg.Description}}, nil
}

// Event returns an event of the kind about an account, "" for the caller of the request that
// records it, with what is special about it.
func (k *Kind) Event(account string, detail ...slog.Attr) Event {
	e := k.event
	e.Principal, e.Detail = account, detail
	return e
}

// Categories returns the categories.
func Categories() []Category {
	return []Category{Authentication, RateLimit, SuspiciousActivity, Authorization, Session, APIKey, Account, System}
}

// Severities returns the severities, in rising order.
func Severities() []Severity { return []Severity{Info, Low, Medium, High, Critical} }

// Outcomes returns the outcomes.
func Outcomes() []Outcome { return []Outcome{Success, Failure, Refused, WouldRefuse} }
