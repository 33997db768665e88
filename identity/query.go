package identity

import (
	"net/url"
	"strings"
)

// InQuery reports whether a raw query holds an API key or a parameter that is only
// ever used for credentials. Nobody accepts them there: URLs are logged and shared.
func InQuery(raw string) bool {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(pair, "%") {
			name, value = unescape(name), unescape(value)
		}
		switch strings.ToLower(name) {
		case "access_token", "api_key", "apikey", "api-key", "x-api-key":
			return true
		}
		if strings.HasPrefix(value, KeyPrefix) {
			return true
		}
	}
	return false
}

// unescape returns s without percent-encoding, or as it is where that is broken.
func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}
