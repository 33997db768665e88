package exchange

import (
	"log/slog"
	"slices"
	"strings"
)

// correlate adds to the detail of an event what ties it to others: the session and the
// key of the caller, and the trace that the request says it is part of. The event
// may say otherwise. The array behind detail is not changed.
func (x *Exchange) correlate(detail []slog.Attr) []slog.Attr {
	detail = slices.Clip(detail)
	for _, id := range [...]struct{ name, value string }{
		{"session_id", x.Principal.SessionID}, {"key_id", x.Principal.KeyID}, {"trace_id", traceID(x.Request.Header.Get("Traceparent"))},
	} {
		if id.value != "" && !slices.ContainsFunc(detail, func(a slog.Attr) bool { return a.Key == id.name }) {
			detail = append(detail, slog.String(id.name, id.value))
		}
	}
	return detail
}

// traceID returns the trace-id of a traceparent (W3C Trace Context section 3.2), or "" when it
// is none. Clients choose it: it is a hint for whoever looks, and proves nothing.
func traceID(parent string) string {
	const form = "00-" + "0af7651916cd43dd8448eb211c80319c" + "-" + "b7ad6b7169203331" + "-" + "01"
	if len(parent) < len(form) || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return ""
	}
	version, id := parent[:2], parent[3:35]
	const hex = "0123456789abcdef"
	switch {
	case strings.Trim(parent[:2]+id+parent[36:52]+parent[53:55], hex) != "", version == "ff", strings.Trim(id, "0") == "":
		return ""
	case version == "00" && len(parent) != len(form), len(parent) > len(form) && parent[len(form)] != '-':
		return ""
	}
	return id
}
