package validate

import (
	"strconv"
	"unicode/utf8"
)

// str reads a string: RFC 8259 section 7.
func (s *scanner) str() (span, error) {
	s.pos++
	str := span{start: s.pos}
	nul := false
	for s.pos < len(s.data) {
		c := s.data[s.pos]
		switch {
		case c == '"':
			str.end = s.pos
			s.pos++
			if nul {
				s.problem("control-character", "Holds the character U+0000.")
			}
			if str.end-str.start > s.limits.MaxStringBytes {
				s.problem("too-long", "Longer than "+strconv.Itoa(s.limits.MaxStringBytes)+" bytes.")
			}
			return str, nil
		case c == '\\':
			str.escaped = true
			zero, err := s.escape()
			if err != nil {
				return str, err
			}
			nul = nul || zero
		case c < ' ':
			return str, s.malformed(s.pos)
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return str, s.malformed(s.pos)
			}
			s.pos += size
		}
	}
	return str, s.malformed(s.pos)
}

// escape reads one escape, or the two of a surrogate pair, and reports whether
// it stands for U+0000.
func (s *scanner) escape() (zero bool, err error) {
	start := s.pos
	s.pos++
	switch s.next() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return false, nil
	case 'u':
		s.pos++
	default:
		return false, s.malformed(s.pos)
	}
	r, ok := hex4(s.data[s.pos:])
	if !ok {
		return false, s.malformed(start)
	}
	s.pos += 4
	switch {
	case 0xdc00 <= r && r <= 0xdfff:
		return false, s.malformed(start)
	case 0xd800 <= r && r <= 0xdbff:
		rest := s.data[s.pos:]
		if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
			return false, s.malformed(start)
		}
		low, ok := hex4(rest[2:])
		if !ok || low < 0xdc00 || low > 0xdfff {
			return false, s.malformed(start)
		}
		s.pos += 6
	}
	return r == 0, nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unquote returns the characters of a string that str has accepted.
func (s *scanner) unquote(str span) string {
	raw := s.data[str.start:str.end]
	if !str.escaped {
		return string(raw)
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw[i+2:])
			i += 4
			if 0xd800 <= r && r <= 0xdbff {
				low, _ := hex4(raw[i+4:])
				r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
		}
		i += 2
	}
	return string(out)
}
