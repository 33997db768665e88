package audit

import (
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const timeFormat = "2006-01-02T15:04:05.000000Z" // RFC 3339, UTC, of one width: lines sort as text

// AppendJSON appends e to dst as one JSON object without a newline: a line of
// the event log. It holds the members of GET /api/v1/events, always all of them:
//
//	id time type category severity outcome request_id address principal route detail
//
// and after them the fields of the OWASP Logging Vocabulary that these lack,
// where they are known: appid, description, hostname and port (as the client
// asked for them), request_method, request_uri (the path; never the query
// string) and useragent. The vocabulary's datetime, event, level and source_ip
// are time, type, severity and address.
//
// Whatever is in e, the line is valid JSON in UTF-8 of printable characters,
// of at most 32 KiB, with no member twice: everything that is not printable (control
// characters, line separators, terminal escapes, bidirectional and invisible
// formatting) is escaped, and NUL and what is not UTF-8 is U+FFFD. A field
// beyond its limit is cut and ends in "…". Of attributes of one name the last
// one counts. Durations are seconds. Attributes that do not fit into 16 KiB
// are left out, and the member detail_omitted says how many.
func AppendJSON(dst []byte, e Event) []byte {
	e = e.Complete()
	if e.Description == "" {
		e.Description = e.Type.Description()
	}
	dst = append(dst, '{')
	dst = appendMember(dst, "id", e.ID, maxWord)
	dst = append(dst, `,"time":`...)
	dst = appendTime(dst, e.Time)
	dst = appendMember(dst, "type", string(e.Type), maxWord)
	dst = appendMember(dst, "category", string(e.Category), maxWord)
	dst = appendMember(dst, "severity", string(e.Severity), maxWord)
	dst = appendMember(dst, "outcome", string(e.Outcome), maxWord)
	dst = appendMember(dst, "request_id", e.RequestID, maxWord)
	dst = appendMember(dst, "address", e.Address, maxAddress)
	dst = appendMember(dst, "principal", e.Principal, maxPrincipal)
	dst = appendMember(dst, "route", e.Route, maxRoute)
	dst = append(dst, `,"detail":`...)
	dst, omitted := appendDetail(dst, e.Detail)
	if omitted > 0 {
		dst = append(dst, `,"detail_omitted":`...)
		dst = strconv.AppendInt(dst, int64(omitted), 10)
	}

	dst = append(dst, `,"appid":"merlon"`...)
	dst = appendKnown(dst, "description", e.Description, maxDescription)
	hostname, port := splitPort(e.Host)
	dst = appendKnown(dst, "hostname", hostname, maxHost)
	dst = appendKnown(dst, "port", port, maxWord)
	dst = appendKnown(dst, "request_method", e.Method, maxWord)
	dst = appendKnown(dst, "request_uri", withoutQuery(e.Path), maxPath)
	dst = appendKnown(dst, "useragent", e.UserAgent, maxUserAgent)
	return append(dst, '}')
}

// AppendDetail appends the member detail of an event to dst, as [AppendJSON] writes it.
func AppendDetail(dst []byte, attrs []slog.Attr) []byte {
	dst, _ = appendDetail(dst, attrs)
	return dst
}

// splitPort splits host into a name and the port at its end, if it has one.
// Anything odd is all name.
func splitPort(host string) (name, port string) {
	i := strings.LastIndexByte(host, ':')
	if i <= 0 || i == len(host)-1 || len(host)-i > len(":65535") ||
		strings.Trim(host[i+1:], "0123456789") != "" ||
		strings.IndexByte(host[:i], ':') >= 0 && host[i-1] != ']' {
		return host, ""
	}
	return host[:i], host[i+1:]
}

func appendDetail(dst []byte, attrs []slog.Attr) (_ []byte, omitted int) {
	return appendObject(dst, attrs, len(dst)+maxDetail, 0)
}

// appendObject appends attrs as an object, leaving out what would make dst
// longer than end.
func appendObject(dst []byte, attrs []slog.Attr, end, depth int) (_ []byte, omitted int) {
	if len(attrs) > maxAttrs {
		attrs, omitted = attrs[:maxAttrs], len(attrs)-maxAttrs
	}
	dst = append(dst, '{')
	for i, a := range attrs {
		key := clip(a.Key, maxWord)
		if hasKey(attrs[i+1:], key) {
			continue
		}
		start := len(dst)
		dst = appendName(dst, key, maxWord)
		var inner int
		dst, inner = appendValue(dst, a.Value, end, depth)
		if len(dst) >= end {
			dst, inner = dst[:start], 1
		}
		omitted += inner
	}
	return append(dst, '}'), omitted
}

func hasKey(attrs []slog.Attr, key string) bool {
	for i := range attrs {
		if clip(attrs[i].Key, maxWord) == key {
			return true
		}
	}
	return false
}

func appendValue(dst []byte, v slog.Value, end, depth int) (_ []byte, omitted int) {
	v = plain(v)
	switch v.Kind() {
	case slog.KindString:
		return appendString(dst, v.String(), maxText), 0
	case slog.KindInt64:
		return strconv.AppendInt(dst, v.Int64(), 10), 0
	case slog.KindUint64:
		return strconv.AppendUint(dst, v.Uint64(), 10), 0
	case slog.KindBool:
		return strconv.AppendBool(dst, v.Bool()), 0
	case slog.KindDuration:
		return strconv.AppendFloat(dst, v.Duration().Seconds(), 'f', -1, 64), 0
	case slog.KindTime:
		return appendTime(dst, v.Time()), 0
	case slog.KindFloat64:
		if f := v.Float64(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return strconv.AppendFloat(dst, f, 'g', -1, 64), 0
		}
	case slog.KindGroup:
		if depth+1 < maxDepth {
			return appendObject(dst, v.Group(), end, depth+1)
		}
		return append(dst, `{}`...), 1
	case slog.KindAny:
		if list, ok := v.Any().([]string); ok {
			return appendList(dst, list), 0
		}
	}
	return append(dst, "null"...), 0 // nil, and numbers that JSON has not
}

func appendList(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		if i == maxItems {
			dst = appendString(dst, marker, maxItem)
			break
		}
		dst = appendString(dst, s, maxItem)
	}
	return append(dst, ']')
}

// appendTime appends t, or the zero time for a year that RFC 3339 cannot write.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		t = time.Time{}
	}
	dst = append(dst, '"')
	dst = t.AppendFormat(dst, timeFormat)
	return append(dst, '"')
}

func appendKnown(dst []byte, name, value string, limit int) []byte {
	if value == "" {
		return dst
	}
	return appendMember(dst, name, value, limit)
}

func appendMember(dst []byte, name, value string, limit int) []byte {
	return appendString(appendName(dst, name, maxWord), value, limit)
}

func appendName(dst []byte, name string, limit int) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	return append(appendString(dst, name, limit), ':')
}

// appendString appends s as a JSON string (RFC 8259, section 7) of printable
// characters.
func appendString(dst []byte, s string, limit int) []byte {
	n, short := cut(s, limit)
	s = s[:n]
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		b := s[i]
		if b < utf8.RuneSelf {
			switch {
			case b == '"' || b == '\\':
				dst = append(dst, '\\', b)
			case b >= ' ' && b != 0x7f:
				dst = append(dst, b)
			case b == 0:
				dst = append(dst, "\uFFFD"...)
			default:
				dst = appendEscape(dst, rune(b))
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError:
			dst = append(dst, "\uFFFD"...)
		case unicode.IsPrint(r):
			dst = append(dst, s[i:i+size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = appendEscape(appendEscape(dst, high), low)
		default:
			dst = appendEscape(dst, r)
		}
		i += size
	}
	if short {
		dst = append(dst, marker...)
	}
	return append(dst, '"')
}

func appendEscape(dst []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[r>>12&0xf], digits[r>>8&0xf], digits[r>>4&0xf], digits[r&0xf])
}
