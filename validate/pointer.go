package validate

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

const (
	// maxSegment is how many code points of a member name a pointer repeats.
	maxSegment = 64
	// maxPointer is how many bytes a pointer grows to before it is cut.
	maxPointer = 512
)

// pointer is a JSON pointer (RFC 6901) that is built up and taken down. Names
// come from the client: each is cut to a length, the whole to another, and
// what does not print is replaced.
type pointer struct{ b []byte }

func (p *pointer) String() string { return string(p.b) }

// push appends a segment for a member and returns the length before, for pop.
func (p *pointer) push(name string) int {
	mark := len(p.b)
	if mark > maxPointer {
		return mark
	}
	p.b = append(p.b, '/')
	n := 0
	for _, r := range name {
		if n == maxSegment {
			p.b = append(p.b, "…"...)
			break
		}
		n++
		switch {
		case r == '~':
			p.b = append(p.b, "~0"...)
		case r == '/':
			p.b = append(p.b, "~1"...)
		case !unicode.IsPrint(r):
			p.b = utf8.AppendRune(p.b, utf8.RuneError)
		default:
			p.b = utf8.AppendRune(p.b, r)
		}
	}
	return mark
}

func (p *pointer) pushIndex(i int) int {
	mark := len(p.b)
	if mark <= maxPointer {
		p.b = append(p.b, '/')
		p.b = strconv.AppendInt(p.b, int64(i), 10)
	}
	return mark
}

func (p *pointer) pop(mark int) { p.b = p.b[:mark] }
