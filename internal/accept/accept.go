// Package accept tells what kind of answer a client asks for: people who open pages
// get pages, and programs get data.
package accept

import (
	"net/http"
	"strings"
)

// Navigation reports whether r looks like a person who opens a page or sends a form,
// whatever its method. Browsers say so with Fetch Metadata, which they leave out in
// clear text but for loopback (W3C Fetch Metadata section 2); older ones never send
// it, and are known by what they accept.
func Navigation(r *http.Request) bool {
	h := r.Header
	if mode := h["Sec-Fetch-Mode"]; mode != nil {
		return len(mode) == 1 && mode[0] == "navigate"
	}
	if h["Sec-Fetch-Site"] != nil || h["Sec-Fetch-Dest"] != nil || h["Sec-Fetch-User"] != nil {
		return false
	}
	return HTML(h["Accept"])
}

// HTML reports whether the best of what Accept names (RFC 9110 section
// 12.5.1), and the first of the best, is a page. Programs that take anything
// (*/*) or name a page among others do not prefer it. Commas inside quoted
// parameters are not understood, which costs no more than a redirect.
func HTML(accept []string) bool {
	best, html := 0, false
	for _, line := range accept {
		for line != "" {
			var member string
			member, line, _ = strings.Cut(line, ",")
			mediaType, parameters, _ := strings.Cut(member, ";")
			mediaType = strings.Trim(mediaType, " \t")
			if q := quality(parameters); mediaType != "" && q > best {
				best = q
				html = strings.EqualFold(mediaType, "text/html") || strings.EqualFold(mediaType, "application/xhtml+xml")
			}
		}
	}
	return html
}

// quality returns the weight in thousandths (RFC 9110 section 12.4.2), 1000
// when there is none and 0 when it is malformed.
func quality(parameters string) int {
	for parameters != "" {
		var p string
		p, parameters, _ = strings.Cut(parameters, ";")
		name, value, _ := strings.Cut(strings.Trim(p, " \t"), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		whole, decimals, _ := strings.Cut(value, ".")
		if whole != "0" && whole != "1" || len(decimals) > 3 {
			return 0
		}
		q := int(whole[0] - '0')
		for i := range 3 {
			q *= 10
			if i < len(decimals) {
				if decimals[i] < '0' || decimals[i] > '9' {
					return 0
				}
				q += int(decimals[i] - '0')
			}
		}
		if q > 1000 {
			return 0
		}
		return q
	}
	return 1000
}
