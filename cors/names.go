package cors

import "strings"

const (
	// maxSpaces is how many spaces and tabs may stand on either side of a name.
	// Browsers send none, proxies that join lines add one.
	maxSpaces = 1
	// maxEmpty is how many empty elements a list may have: "a reasonable number"
	// (RFC 9110 section 5.6.1.2).
	maxEmpty = 16
)

// nameSet is a set of header names, compared without regard to case.
type nameSet struct {
	names   map[string]struct{} // in lower case
	longest int                 // bytes
}

func newNameSet(names []string) nameSet {
	s := nameSet{names: make(map[string]struct{}, len(names))}
	for _, n := range names {
		s.names[strings.ToLower(n)] = struct{}{}
		s.longest = max(s.longest, len(n))
	}
	return s
}

// holds reports whether all elements of a list of header names, which may be
// spread over several lines (RFC 9110 section 5.3), are in s. Browsers send
// each name once, in lower case and sorted; other case and order mean the same.
//
// It reads no further than a list of all names of s could reach, whatever a
// client sends, and allocates nothing.
func (s nameSet) holds(lines []string) bool {
	named, empty := 0, 0
	for _, line := range lines {
		for more := true; more; {
			var elem string
			var ok bool
			if elem, line, more, ok = s.next(line); !ok {
				return false
			}
			if elem == "" {
				if empty++; empty > maxEmpty {
					return false
				}
				continue
			}
			if named++; named > len(s.names) || !s.has(elem) {
				return false
			}
		}
	}
	return true
}

// next cuts the first element off line. It is not ok when no name of s is that
// long or has that many spaces around it.
func (s nameSet) next(line string) (elem, rest string, more, ok bool) {
	window := line[:min(len(line), s.longest+2*maxSpaces+1)]
	i := strings.IndexByte(window, ',')
	switch {
	case i >= 0:
		elem, rest, more = line[:i], line[i+1:], true
	case len(window) < len(line):
		return "", "", false, false
	default:
		elem = line
	}
	return trimSpace(elem), rest, more, true
}

// trimSpace removes maxSpaces, which is one space or tab, from either end.
func trimSpace(s string) string {
	if s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	if n := len(s); n > 0 && (s[n-1] == ' ' || s[n-1] == '\t') {
		s = s[:n-1]
	}
	return s
}

func (s nameSet) has(name string) bool {
	var lower [maxHeaderName]byte
	if len(name) > s.longest {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	_, ok := s.names[string(lower[:len(name)])]
	return ok
}
