package validate

import (
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"
)

// A format is a test of strings that no pattern says well: JSON Schema
// 2020-12, Validation, section 7.
type format struct {
	name      string
	maxLength int // in code points; what Compile assumes when no tag says less
	detail    string
	ok        func(string) bool
}

func formatOf(name string) (format, bool) {
	for _, f := range []format{
		{"email", 254, "Must be one e-mail address such as name@example.com.", IsEmail},
		{"uri", 2048, "Must be an absolute http or https URL.", IsWebURL},
		{"date-time", 64, "Must be a date and time such as 2006-01-02T15:04:05Z.", isDateTime},
		{"uuid", 36, "Must be a UUID.", isUUID},
		{"ip-prefix", 49, "Must be an IP address, or a prefix such as 192.0.2.0/24.", isPrefix},
	} {
		if f.name == name {
			return f, true
		}
	}
	return format{}, false
}

// IsEmail reports whether s is one plain e-mail address that mail can be sent
// to: dot-atom local part in ASCII (RFC 5321 section 4.1.2) of at most 64 bytes,
// a domain name of two or more labels (internationalised ones too, RFC 5891),
// at most 254 bytes in all. Display names, comments, quoted local parts and
// address literals are addresses to RFC 5322 and refused here: no account
// needs one, and programs disagree about them.
func IsEmail(s string) bool {
	if len(s) > 254 {
		return false
	}
	at := strings.LastIndexByte(s, '@')
	if at < 1 || at > 64 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	for i := range len(local) {
		if c := local[i]; !isAlnum(c) && strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) < 0 {
			return false
		}
	}
	ascii, ok := domainName(domain)
	if !ok || at+1+len(ascii) > 254 {
		return false
	}
	// Dots at the ends and in a row are what is left to refuse.
	a, err := mail.ParseAddress(local + "@" + ascii)
	return err == nil && a.Name == "" && a.Address == local+"@"+ascii
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// domainName returns s in ASCII and reports whether it is a fully qualified
// domain name of letters, digits and hyphens.
func domainName(s string) (string, bool) {
	ascii, err := idna.Lookup.ToASCII(s)
	if err != nil || len(ascii) > 253 {
		return "", false
	}
	labels := strings.Split(ascii, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return "", false
		}
		for i := range len(l) {
			if !isAlnum(l[i]) && l[i] != '-' {
				return "", false
			}
		}
	}
	top := labels[len(labels)-1]
	// RFC 3696 section 2: a top-level domain is not all digits; 127.0.0.1 is no name.
	return ascii, len(labels) >= 2 && strings.Trim(top, "0123456789") != ""
}

// IsWebURL reports whether s is an absolute http or https URL with a host (an IP
// address or a fully qualified name), of at most 2048 bytes, without user information, blanks and characters that RFC
// 3986 leaves no place for.
func IsWebURL(s string) bool {
	if len(s) > 2048 || strings.ContainsAny(s, " <>\"\\^`{|}") {
		return false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || u.User != nil {
		return false
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return false
		}
	} else if strings.HasSuffix(u.Host, ":") {
		return false
	}
	host := u.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Zone() == ""
	}
	_, ok := domainName(host)
	return ok
}

func isDateTime(s string) bool {
	_, ok := instant(s)
	return ok
}

// instant reads an RFC 3339 date and time; the result is in UTC. It refuses what
// time.Parse lets pass (golang/go#54580): an hour of one digit, a comma before the
// fraction, an offset of more than 23:59.
func instant(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || len(s) > 64 || s[13] != ':' || strings.IndexByte(s, ',') >= 0 {
		return time.Time{}, false
	}
	if offset := s[len(s)-6:]; s[len(s)-1] != 'Z' && (offset[1:3] > "23" || offset[4:6] > "59") {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, false
	}
	t = t.UTC()
	// An offset may lead out of the years that RFC 3339 can write.
	return t, t.Year() >= 0 && t.Year() <= 9999
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
				return false
			}
		}
	}
	return true
}

func isPrefix(s string) bool {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Zone() == ""
	}
	_, err := netip.ParsePrefix(s)
	return err == nil
}
