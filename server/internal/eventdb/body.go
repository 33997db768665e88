package eventdb

import (
	"bytes"
	"encoding/json"

	"github.com/merlonhq/merlon/audit"
)

// body returns the part of an event's line that the API shows, as an object of its own. A line begins with the members
// id to detail (audit.AppendJSON); what the vocabulary and the chain add comes after them.
func body(e audit.Event, line []byte) string {
	if object, ok := shown(line); ok {
		return object
	}
	// Not a line of AppendJSON. An event must not be refused, so its line is made here.
	object, _ := shown(audit.AppendJSON(nil, e))
	return object
}

// detail is how the last member that the API shows begins. A quotation mark within a string is escaped, so that no
// value can hold it.
var detail = []byte(`,"detail":{`)

// shown returns line up to the end of the member detail, as an object. It is valid JSON: one that were not would spoil
// every page it stands on.
func shown(line []byte) (object string, ok bool) {
	start := bytes.Index(line, detail)
	if start < 0 {
		return "", false
	}
	start += len(detail)
	depth, quoted := 1, false
	for i := start; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				part := make([]byte, 0, i+2)
				part = append(append(part, line[:i+1]...), '}')
				return string(part), json.Valid(part)
			}
		}
	}
	return "", false
}
