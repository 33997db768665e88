package password

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Code says why a password may not be chosen. The values are part of the API (`errors[].code`).
type Code string

// The codes of a [Reason].
const (
	TooShort    Code = "too-short"    // fewer code points than MinLength
	TooLong     Code = "too-long"     // more code points than MaxLength, or more bytes than MaxBytes
	Common      Code = "common"       // on a block list
	Context     Code = "context"      // a word of the context, or one with trivial decoration
	InvalidUTF8 Code = "invalid-utf8" // not text
)

// A Reason tells the person who chose a password why it was refused (NIST SP 800-63B-4, section 3.1.1.2 wants that).
// Detail is a sentence for them; it never holds the password or a word of the context.
type Reason struct {
	Code   Code
	Detail string
}

// PolicyConfig says which passwords may be chosen. The zero value takes 8 to 128 code points that are not among some
// 18,000 common passwords.
type PolicyConfig struct {
	_ [0]func()

	// MinLength is the least number of code points, 8 to MaxLength. Default 8. NIST SP 800-63B-4 asks for 15 where
	// the password is the only factor and 8 beside a second one.
	MinLength int
	// MaxLength is the greatest number of code points, 64 to 1024. Default 128.
	MaxLength int
	// MaxBytes is the greatest number of bytes of UTF-8, for an algorithm that takes no more: 72 with [Bcrypt].
	// Default 0: MaxLength alone decides.
	MaxBytes int

	// Blocked holds further passwords to refuse beside the embedded list, compared whole and without case.
	Blocked []string
	// ContextWords holds words that every password of this service is compared with: its name, its domain, its
	// company. The words of an account are arguments of Check.
	ContextWords []string

	// InsecureShortMinLength allows a MinLength of 1 to 7. It holds the reason. The embedded list has no entry that
	// short.
	InsecureShortMinLength string
}

// A Policy decides which passwords may be chosen. It is safe for concurrent use and does not change after [NewPolicy].
type Policy struct {
	minLength, maxLength, maxBytes int

	common  []string // sorted, folded
	blocked map[string]struct{}
	context []contextWord

	tooShort, tooLong Reason
}

// NewPolicy compiles cfg, reporting everything that is wrong with it at once. It unpacks the embedded block list,
// which takes a few milliseconds and half a megabyte: make one Policy and keep it.
func NewPolicy(cfg PolicyConfig) (*Policy, error) {
	setDefault(&cfg.MinLength, 8)
	setDefault(&cfg.MaxLength, 128)
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("password: "+format, args...)) }
	if floor := 8; cfg.MinLength < 1 || cfg.MinLength < floor && cfg.InsecureShortMinLength == "" {
		bad("MinLength %d is too small: use at least %d", cfg.MinLength, floor)
	}
	if cfg.MaxLength < 64 || cfg.MaxLength > 1024 {
		bad("MaxLength %d is out of range: use 64 to 1024", cfg.MaxLength)
	}
	if cfg.MinLength > cfg.MaxLength {
		bad("MinLength %d is greater than MaxLength %d", cfg.MinLength, cfg.MaxLength)
	}
	if cfg.MaxBytes != 0 && (cfg.MaxBytes < 64 || cfg.MaxBytes > maxPasswordBytes) {
		bad("MaxBytes %d is out of range: use 64 to %d, or 0 for none", cfg.MaxBytes, maxPasswordBytes)
	}
	for i, w := range cfg.Blocked {
		if w == "" || !utf8.ValidString(w) {
			bad("Blocked[%d] is empty or not UTF-8", i)
		}
	}
	for i, w := range cfg.ContextWords {
		if w == "" || !utf8.ValidString(w) {
			bad("ContextWords[%d] is empty or not UTF-8", i)
		}
	}
	common, err := commonPasswords()
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}

	p := &Policy{
		minLength: cfg.MinLength,
		maxLength: cfg.MaxLength,
		maxBytes:  cfg.MaxBytes,
		common:    common,
		blocked:   make(map[string]struct{}, len(cfg.Blocked)),
		context:   appendContext(nil, cfg.ContextWords),
		tooShort:  Reason{TooShort, fmt.Sprintf("The password must have at least %d characters.", cfg.MinLength)},
		tooLong:   Reason{TooLong, fmt.Sprintf("The password must have at most %d characters.", cfg.MaxLength)},
	}
	if p.maxBytes == 0 {
		p.maxBytes = maxPasswordBytes // 1024 code points are never more
	} else {
		p.tooLong.Detail = fmt.Sprintf("The password must have at most %d characters and %d bytes.", cfg.MaxLength, cfg.MaxBytes)
	}
	for _, w := range cfg.Blocked {
		p.blocked[fold(w)] = struct{}{}
	}
	return p, nil
}

// Check returns every reason why password may not be chosen, or nil. The words of context belong to the account:
// username, e-mail address (its local part counts too), display name; empty ones are ignored, and so is all beyond
// the first 16 words and the first 256 bytes of each.
//
// Length is counted in code points of the normal form. Text that is not UTF-8, or that is too long, is not compared
// with anything.
func (p *Policy) Check(password string, context ...string) []Reason {
	if !utf8.ValidString(password) {
		return []Reason{{InvalidUTF8, "The password is not valid UTF-8 text."}}
	}
	if len(password) > 4*maxPasswordBytes { // before any work
		return []Reason{p.tooLong}
	}
	text := normalize(password)
	n := utf8.RuneCountInString(text)
	if n > p.maxLength || len(text) > p.maxBytes {
		return []Reason{p.tooLong}
	}
	var reasons []Reason
	if n < p.minLength {
		reasons = append(reasons, p.tooShort)
	}
	folded := fold(text)
	_, blocked := p.blocked[folded]
	if !blocked {
		_, blocked = slices.BinarySearch(p.common, folded)
	}
	if blocked {
		reasons = append(reasons, Reason{Common, "The password is among the most common ones, which are guessed first."})
	}
	if isContext(folded, p.context) || isContext(folded, appendContext(nil, clip(context))) {
		reasons = append(reasons, Reason{Context, "The password is too close to the name of the account or of the service."})
	}
	return reasons
}
