package validate

import (
	"strconv"

	"github.com/merlonhq/merlon/problem"
)

// Limits bounds the shape of a JSON text. The zero value of a field means its default.
type Limits struct {
	// MaxDepth is how deep objects and arrays may nest: 1 to 1000, default 32.
	MaxDepth int
	// MaxMembers is how many object members and array elements the whole text may
	// hold: 1 or more, default 10,000.
	MaxMembers int
	// MaxStringBytes is the length of the longest string or member name, in bytes
	// of the text: 1 or more, default 1 MiB.
	MaxStringBytes int
}

const hardMaxDepth = 1000 // the scanner recurses

func (l Limits) withDefaults() Limits {
	if l.MaxDepth <= 0 {
		l.MaxDepth = 32
	}
	l.MaxDepth = min(l.MaxDepth, hardMaxDepth)
	if l.MaxMembers <= 0 {
		l.MaxMembers = 10_000
	}
	if l.MaxStringBytes <= 0 {
		l.MaxStringBytes = 1 << 20
	}
	return l
}

// A SyntaxError says that a text is not JSON: not of the grammar of RFC 8259,
// not UTF-8 (section 8.1, which forbids a byte order mark too), or with an
// escape for half a surrogate pair (RFC 7493 section 2.1), which no UTF-8
// string can hold. It is a 400 malformed-request.
type SyntaxError struct {
	// Offset is the number of bytes before the first wrong one.
	Offset int
}

func (e *SyntaxError) Error() string { return "malformed JSON at byte " + strconv.Itoa(e.Offset) }

// A ContentError says that a text is JSON, but breaks a limit or a rule. It is
// a 422 invalid-content.
type ContentError struct {
	// Problems name the members at fault, with the codes duplicate,
	// control-character (NUL), too-long, too-deep, too-many-members or, from
	// [CutMember], type. The last two limits end the scan at the first violation.
	Problems []problem.FieldError
}

func (e *ContentError) Error() string {
	p := e.Problems[0]
	return "invalid JSON content at " + strconv.Quote(p.Pointer) + ": " + p.Code
}
