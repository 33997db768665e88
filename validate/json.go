package validate

import (
	"bytes"
	"strconv"

	"github.com/merlonhq/merlon/problem"
)

// CheckJSON reads data once and returns nil if it is one JSON text (RFC 8259)
// within the limits, in which no object has two members of one name (compared
// after unescaping: RFC 7493 section 2.3) and no string holds U+0000. Numbers
// may have any size; what fits is for the type that takes them to say.
//
// The error is a [*SyntaxError] or a [*ContentError]. A small accepted text is
// checked without allocation.
func CheckJSON(data []byte, limits Limits) error {
	var s scanner
	return s.run(data, limits)
}

type kind uint8

const (
	kindObject kind = iota
	kindArray
	kindString
	kindNumber
	kindTrue
	kindFalse
	kindNull
)

// span is a string of the text, without its quotes.
type span struct {
	start, end int
	escaped    bool
}

// node is a value of the text. Nodes stand in the order of the text.
type node struct {
	kind       kind
	start, end int  // strings: without the quotes
	key        span // in an object
	escaped    bool // strings
	first      int  // first child, or 0
	next       int  // next sibling, or 0
}

// frame is an object or array that is open.
type frame struct {
	object bool
	key    span // objects: the member being read
	index  int  // arrays: the element being read
	base   int  // objects: the number of the first of its names
	set    map[string]struct{}
}

const (
	// inlineKeys is how many names of an object are compared one by one before a
	// set is made: the quadratic part stays small whatever is sent.
	inlineKeys = 24
	// maxProblems is how many problems are reported at once.
	maxProblems = 50
)

type scanner struct {
	data     []byte
	pos      int
	limits   Limits
	members  int
	problems []problem.FieldError

	// What is open, and the names in it. The first ones stand in the scanner
	// itself, and not behind slices, for then it could not live on the stack.
	depth, names int
	shallow      [8]frame
	deep         []frame
	few          [48]span
	many         []span

	build bool
	nodes []node
}

func (s *scanner) run(data []byte, limits Limits) error {
	s.data = data
	s.limits = limits.withDefaults()
	s.blanks()
	if _, err := s.value(span{}); err != nil {
		return err
	}
	s.blanks()
	if s.pos != len(data) {
		return s.malformed(s.pos)
	}
	if s.problems != nil {
		return s.content()
	}
	return nil
}

func (s *scanner) malformed(offset int) error { return &SyntaxError{Offset: offset} }

func (s *scanner) problem(code, detail string) {
	if len(s.problems) < maxProblems {
		s.problems = append(s.problems, problem.FieldError{Pointer: s.pointer(), Code: code, Detail: detail})
	}
}

// frame returns the open object or array at the given depth.
func (s *scanner) frame(i int) *frame {
	if i < len(s.shallow) {
		return &s.shallow[i]
	}
	return &s.deep[i-len(s.shallow)]
}

func (s *scanner) top() *frame { return s.frame(s.depth - 1) }

// name returns the name with the given number.
func (s *scanner) name(i int) span {
	if i < len(s.few) {
		return s.few[i]
	}
	return s.many[i-len(s.few)]
}

func (s *scanner) addName(n span) {
	if s.names < len(s.few) {
		s.few[s.names] = n
	} else {
		s.many = append(s.many[:s.names-len(s.few)], n)
	}
	s.names++
}

// stop is for violations after which reading on would be what the limit forbids.
func (s *scanner) stop(code, detail string) error {
	s.problem(code, detail)
	return s.content()
}

// content copies, so that nothing of the scanner escapes with the error.
func (s *scanner) content() error {
	return &ContentError{Problems: append([]problem.FieldError(nil), s.problems...)}
}

func (s *scanner) pointer() string {
	var p pointer
	for i := range s.depth {
		f := s.frame(i)
		switch {
		case !f.object:
			p.pushIndex(f.index)
		case f.key.start > 0:
			p.push(s.unquote(f.key))
		}
	}
	return p.String()
}

func (s *scanner) blanks() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// next returns the byte at the position, or 0 at the end; a 0 in the text is
// malformed wherever next is asked.
func (s *scanner) next() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// value reads one value and returns the number of its node.
func (s *scanner) value(key span) (int, error) {
	n := s.open(key)
	var err error
	switch c := s.next(); {
	case c == '{':
		err = s.object(n)
	case c == '[':
		err = s.array(n)
	case c == '"':
		var str span
		if str, err = s.str(); err == nil && s.build {
			s.nodes[n].kind = kindString
			s.nodes[n].start, s.nodes[n].end, s.nodes[n].escaped = str.start, str.end, str.escaped
			return n, nil
		}
	case c == '-' || '0' <= c && c <= '9':
		s.setKind(n, kindNumber)
		err = s.number()
	case c == 't':
		s.setKind(n, kindTrue)
		err = s.literal("true")
	case c == 'f':
		s.setKind(n, kindFalse)
		err = s.literal("false")
	case c == 'n':
		s.setKind(n, kindNull)
		err = s.literal("null")
	default:
		err = s.malformed(s.pos)
	}
	if s.build && err == nil {
		s.nodes[n].end = s.pos
	}
	return n, err
}

func (s *scanner) open(key span) int {
	if !s.build {
		return 0
	}
	s.nodes = append(s.nodes, node{start: s.pos, key: key})
	return len(s.nodes) - 1
}

func (s *scanner) setKind(n int, k kind) {
	if s.build {
		s.nodes[n].kind = k
	}
}

// link hangs child behind the last child of parent and returns it as the last.
func (s *scanner) link(parent, last, child int) int {
	if s.build {
		if last == 0 {
			s.nodes[parent].first = child
		} else {
			s.nodes[last].next = child
		}
	}
	return child
}

func (s *scanner) push(object bool) error {
	if s.depth == s.limits.MaxDepth {
		return s.stop("too-deep", "Nested deeper than "+strconv.Itoa(s.limits.MaxDepth)+" levels.")
	}
	f := frame{object: object, base: s.names}
	if s.depth < len(s.shallow) {
		s.shallow[s.depth] = f
	} else {
		s.deep = append(s.deep[:s.depth-len(s.shallow)], f)
	}
	s.depth++
	return nil
}

func (s *scanner) pop() {
	s.names = s.top().base
	s.depth--
}

func (s *scanner) count() error {
	s.members++
	if s.members > s.limits.MaxMembers {
		return s.stop("too-many-members", "More than "+strconv.Itoa(s.limits.MaxMembers)+" members and elements in all.")
	}
	return nil
}

func (s *scanner) object(n int) error {
	s.setKind(n, kindObject)
	if err := s.push(true); err != nil {
		return err
	}
	defer s.pop()
	s.pos++
	s.blanks()
	if s.next() == '}' {
		s.pos++
		return nil
	}
	for last := 0; ; {
		if s.next() != '"' {
			return s.malformed(s.pos)
		}
		// A problem of the name itself is reported at the object.
		s.top().key = span{}
		key, err := s.str()
		if err != nil {
			return err
		}
		f := s.top()
		f.key = key
		if err := s.count(); err != nil {
			return err
		}
		if s.known(f, key) {
			s.problem("duplicate", "The object has this member more than once.")
		}
		s.blanks()
		if s.next() != ':' {
			return s.malformed(s.pos)
		}
		s.pos++
		s.blanks()
		child, err := s.value(key)
		if err != nil {
			return err
		}
		last = s.link(n, last, child)
		s.blanks()
		switch s.next() {
		case ',':
			s.pos++
			s.blanks()
		case '}':
			s.pos++
			return nil
		default:
			return s.malformed(s.pos)
		}
	}
}

// known reports whether the open object f has a member of this name, and
// remembers the name.
func (s *scanner) known(f *frame, key span) bool {
	if f.set == nil && !key.escaped && s.names-f.base < inlineKeys {
		for i := f.base; i < s.names; i++ {
			if other := s.name(i); bytes.Equal(s.data[other.start:other.end], s.data[key.start:key.end]) {
				return true
			}
		}
		s.addName(key)
		return false
	}
	if f.set == nil {
		f.set = make(map[string]struct{}, 2*inlineKeys)
		for i := f.base; i < s.names; i++ {
			f.set[s.unquote(s.name(i))] = struct{}{}
		}
	}
	name := s.unquote(key)
	_, dup := f.set[name]
	f.set[name] = struct{}{}
	return dup
}

func (s *scanner) array(n int) error {
	s.setKind(n, kindArray)
	if err := s.push(false); err != nil {
		return err
	}
	defer s.pop()
	s.pos++
	s.blanks()
	if s.next() == ']' {
		s.pos++
		return nil
	}
	for i, last := 0, 0; ; i++ {
		s.top().index = i
		if err := s.count(); err != nil {
			return err
		}
		child, err := s.value(span{})
		if err != nil {
			return err
		}
		last = s.link(n, last, child)
		s.blanks()
		switch s.next() {
		case ',':
			s.pos++
			s.blanks()
		case ']':
			s.pos++
			return nil
		default:
			return s.malformed(s.pos)
		}
	}
}

func (s *scanner) literal(word string) error {
	for i := range len(word) {
		if s.next() != word[i] {
			return s.malformed(s.pos)
		}
		s.pos++
	}
	return nil
}

// number reads a number: RFC 8259 section 6.
func (s *scanner) number() error {
	if s.next() == '-' {
		s.pos++
	}
	if s.next() == '0' {
		s.pos++
	} else if err := s.digits(); err != nil {
		return err
	}
	if s.next() == '.' {
		s.pos++
		if err := s.digits(); err != nil {
			return err
		}
	}
	if c := s.next(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.next(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return nil
}

func (s *scanner) digits() error {
	start := s.pos
	for c := s.next(); '0' <= c && c <= '9'; c = s.next() {
		s.pos++
	}
	if s.pos == start {
		return s.malformed(s.pos)
	}
	return nil
}
