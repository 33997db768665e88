package validate

import "github.com/merlonhq/merlon/problem"

// CutMember finds the member of the given name in the object that data is, and
// returns its value and data without it. Data is checked as by [CheckJSON]; if
// it breaks a rule the error is that of CheckJSON, and nothing is found. A member
// of that name that is not a string is a [*ContentError] with the code type.
//
// When there is no such member, or data is not an object, rest is data itself.
// Data is never changed.
func CutMember(data []byte, name string, limits Limits) (value string, rest []byte, found bool, err error) {
	s := scanner{build: true}
	if err := s.run(data, limits); err != nil {
		return "", data, false, err
	}
	if s.nodes[0].kind != kindObject {
		return "", data, false, nil
	}
	before := 0
	for i := s.nodes[0].first; i != 0; before, i = i, s.nodes[i].next {
		n := &s.nodes[i]
		if s.unquote(n.key) != name {
			continue
		}
		if n.kind != kindString {
			var p pointer
			p.push(name)
			return "", data, false, &ContentError{Problems: []problem.FieldError{
				{Pointer: p.String(), Code: "type", Detail: "Must be a string."}}}
		}
		// One comma goes with the member: the one behind it, or else the one before.
		from, to := n.key.start-1, n.end+1
		switch {
		case n.next != 0:
			to = s.nodes[n.next].key.start - 1
		case before != 0:
			from = s.nodes[before].valueEnd()
		}
		rest = make([]byte, 0, len(data)-(to-from))
		rest = append(rest, data[:from]...)
		rest = append(rest, data[to:]...)
		return s.unquote(n.text()), rest, true, nil
	}
	return "", data, false, nil
}

// text is the span of a string.
func (n *node) text() span { return span{n.start, n.end, n.escaped} }

// valueEnd is the offset behind the value, quotes included.
func (n *node) valueEnd() int {
	if n.kind == kindString {
		return n.end + 1
	}
	return n.end
}
