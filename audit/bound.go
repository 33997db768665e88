package audit

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of the fields of an event, in bytes of UTF-8 before escaping, the
// marker of a cut included. Clients fill the log with what they send: without
// limits a disk, and with short ones an investigation, is theirs.
const (
	maxWord        = 64  // id, type, category, severity, outcome, request id, method, names of details
	maxAddress     = 64  // an IPv6 address with zone
	maxPrincipal   = 128 //
	maxRoute       = 256 //
	maxHost        = 262 // a DNS name and a port
	maxPath        = 512 //
	maxUserAgent   = 256 //
	maxDescription = 256 //
	maxText        = 512 // a string in detail
	maxItem        = 128 // a string of a list in detail

	maxAttrs  = 64        // attributes of one object in detail
	maxItems  = 32        // strings of one list in detail
	maxDepth  = 4         // objects within objects in detail
	maxDetail = 16 * 1024 // all of detail, escaped
)

// marker ends what was cut.
const marker = "…"

// cut returns how many bytes of s are kept within limit, and whether that is
// less than all. What is kept then ends on a rune boundary and leaves room for
// the marker.
func cut(s string, limit int) (n int, short bool) {
	if len(s) <= limit {
		return len(s), false
	}
	n = limit - len(marker)
	// In invalid UTF-8 there may be no boundary: look no further back than one rune is long.
	for back := 0; back < utf8.UTFMax-1 && n > 0 && !utf8.RuneStart(s[n]); back++ {
		n--
	}
	return n, true
}

// clip returns s within limit, as valid UTF-8 without NUL: databases refuse both.
func clip(s string, limit int) string {
	if n, short := cut(s, limit); short {
		s = s[:n] + marker
	}
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if n, short := cut(s, limit); short { // replacements are longer than what they replace
		s = s[:n] + marker
	}
	return s
}

// withoutQuery cuts a query string off a path. A path should have none; a "?"
// in it is an escaped one, or a caller's mistake that would log credentials.
func withoutQuery(path string) string {
	if i := strings.IndexByte(path, '?'); i >= 0 && path[i+1:] != marker {
		return clip(path[:i+1], maxPath-len(marker)) + marker
	}
	return path
}

// bounded returns e complete, every field within its limit, and sharing no memory with
// what came from a client: a queue of short strings cut from long requests
// would hold the long requests.
func bounded(e Event) Event {
	e = e.Complete()
	e.Time = e.Time.UTC().Truncate(time.Microsecond) // what the line shows
	e.ID = clip(e.ID, maxWord)
	e.Type = Type(clip(string(e.Type), maxWord))
	e.Category = Category(clip(string(e.Category), maxWord))
	e.Severity = Severity(clip(string(e.Severity), maxWord))
	e.Outcome = Outcome(clip(string(e.Outcome), maxWord))
	e.RequestID = clip(e.RequestID, maxWord)
	e.Address = clip(e.Address, maxAddress)
	e.Principal = clip(e.Principal, maxPrincipal)
	e.Route = clip(e.Route, maxRoute)
	e.Description = clip(e.Description, maxDescription)

	e.Method = clip(e.Method, maxWord)
	e.Host = clip(e.Host, maxHost)
	e.Path = clip(withoutQuery(e.Path), maxPath)
	e.UserAgent = clip(e.UserAgent, maxUserAgent)
	n := len(e.Method) + len(e.Host) + len(e.Path) + len(e.UserAgent)
	for i := range e.Detail {
		if v := e.Detail[i].Value; v.Kind() == slog.KindString {
			n += min(len(v.String()), maxText)
		}
	}
	var c copier
	c.Grow(n)
	e.Method, e.Host, e.Path, e.UserAgent = c.copy(e.Method), c.copy(e.Host), c.copy(e.Path), c.copy(e.UserAgent)
	e.Detail = c.attrs(e.Detail, 0)
	return e
}

// A copier makes copies of strings that share one allocation.
type copier struct{ strings.Builder }

func (c *copier) copy(s string) string {
	start := c.Len()
	c.WriteString(s)
	return c.String()[start:]
}

func (c *copier) attrs(attrs []slog.Attr, depth int) []slog.Attr {
	if len(attrs) == 0 || depth == maxDepth {
		return nil
	}
	// One more than is written, so that the encoder sees that some are missing.
	kept := make([]slog.Attr, min(len(attrs), maxAttrs+1))
	for i := range kept {
		v := plain(attrs[i].Value)
		switch v.Kind() {
		case slog.KindString:
			v = slog.StringValue(c.copy(clip(v.String(), maxText)))
		case slog.KindGroup:
			v = slog.GroupValue(c.attrs(v.Group(), depth+1)...)
		case slog.KindAny:
			if list, ok := v.Any().([]string); ok {
				items := make([]string, min(len(list), maxItems+1))
				for i := range items {
					items[i] = c.copy(clip(list[i], maxItem))
				}
				v = slog.AnyValue(items)
			}
		}
		kept[i] = slog.Attr{Key: clip(attrs[i].Key, maxWord), Value: v}
	}
	return kept
}

// plain returns v as one of the kinds that a detail may have: what slog has kinds for,
// []string, and nil. Everything else, structs above all, is replaced by its
// type: nobody has looked at what is in it.
func plain(v slog.Value) slog.Value {
	v = v.Resolve()
	if v.Kind() != slog.KindAny {
		return v
	}
	switch x := v.Any().(type) {
	case nil, []string:
		return v
	case error, fmt.Stringer:
		return slog.StringValue(fmt.Sprint(x)) // which survives a method that panics
	}
	r := reflect.ValueOf(v.Any())
	switch r.Kind() {
	case reflect.String:
		return slog.StringValue(r.String())
	case reflect.Bool:
		return slog.BoolValue(r.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return slog.Int64Value(r.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return slog.Uint64Value(r.Uint())
	case reflect.Float32, reflect.Float64:
		return slog.Float64Value(r.Float())
	case reflect.Slice:
		if r.Type().Elem().Kind() == reflect.String {
			list := make([]string, min(r.Len(), maxItems+1))
			for i := range list {
				list[i] = r.Index(i).String()
			}
			return slog.AnyValue(list)
		}
	}
	return slog.StringValue("not recorded: " + r.Type().String())
}
