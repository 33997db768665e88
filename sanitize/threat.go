package sanitize

import (
	"strings"

	"golang.org/x/net/html"
)

// A Threat says which kinds of active content a text carried. The zero value
// is none: markup alone is not a threat.
type Threat uint8

const (
	// ThreatElement is an element that runs or loads code: script, style,
	// iframe, object, embed, base, meta, link, svg, math, form.
	ThreatElement Threat = 1 << iota
	// ThreatHandler is an event handler attribute such as onclick.
	ThreatHandler
	// ThreatURL is a javascript:, vbscript: or data: URL in an attribute.
	ThreatURL
)

// String returns the names of the threats, separated by commas, in a form made
// for an event: "script-element,event-handler,script-url", or "none".
func (t Threat) String() string {
	var names []string
	if t&ThreatElement != 0 {
		names = append(names, "script-element")
	}
	if t&ThreatHandler != 0 {
		names = append(names, "event-handler")
	}
	if t&ThreatURL != 0 {
		names = append(names, "script-url")
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ",")
}

// Threats returns the kinds of active content in the markup of s, including
// markup that only appears when other markup is taken out. It is meant for
// text that Plain or Rich have changed, to name the event; it decides nothing.
func Threats(s string) Threat {
	_, t := plain(s)
	return t
}

func tagThreats(z *html.Tokenizer, name string, hasAttr bool) (t Threat) {
	switch name {
	case "script", "style", "iframe", "frame", "object", "embed", "applet", "base", "meta", "link", "svg", "math", "form":
		t = ThreatElement
	}
	for hasAttr {
		var key, val []byte
		key, val, hasAttr = z.TagAttr()
		switch {
		case len(key) > 2 && key[0] == 'o' && key[1] == 'n':
			t |= ThreatHandler
		case runsAsURL(val):
			t |= ThreatURL
		}
	}
	return t
}

// runsAsURL reports whether a browser would run val as a URL. Browsers drop
// tabs, newlines and leading control characters before they look at the scheme
// (WHATWG URL, section 4.4).
func runsAsURL(val []byte) bool {
	var head [12]byte
	n := 0
	for _, c := range val {
		if n == len(head) || c == ':' {
			break
		}
		if c <= ' ' {
			continue
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		head[n] = c
		n++
	}
	switch string(head[:n]) {
	case "javascript", "vbscript", "livescript", "data":
		return true
	}
	return false
}
