package sanitize

import "unicode/utf8"

// HasControl reports whether s contains a character that honest text of its
// kind does not: one that moves the cursor, hides or reorders its neighbours,
// or ends the line in a log. Bytes that are not UTF-8 count as such.
//
// Never wanted: the C0 controls, DEL, the C1 controls, U+FEFF (byte order
// mark), the noncharacters U+FFFE and U+FFFF, and U+202D and U+202E, which
// reorder letters whatever the script.
//
// With multiline, tab, line feed and carriage return are text, and so are
// U+2028, U+2029 and the directional embeddings and isolates (U+202A to U+202C,
// U+2066 to U+2069) that prose in two directions needs. On a single line, in a name
// or a title, these only serve to disguise, and are refused too.
//
// Joiners and variation selectors (emoji, Persian, Indic scripts) and the
// marks U+200E and U+200F are text in both.
func HasControl(s string, multiline bool) bool {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c == 0x7f || c < ' ' && !(multiline && (c == '\t' || c == '\n' || c == '\r')) {
				return true
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			return true
		}
		switch {
		case 0x80 <= r && r <= 0x9f, r == 0xfeff, r == 0xfffe, r == 0xffff, r == 0x202d, r == 0x202e:
			return true
		case r == 0x2028, r == 0x2029, 0x202a <= r && r <= 0x202c, 0x2066 <= r && r <= 0x2069:
			if !multiline {
				return true
			}
		}
		i += size
	}
	return false
}
