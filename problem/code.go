package problem

import "net/http"

// A Code is the stable name of a problem. Its problem type (RFC 9457 section
// 3.1.1) is "urn:merlon:problem:" and the code, but for [QuotaExceeded].
type Code string

// The codes of Merlon. Each has exactly one status.
const (
	MalformedRequest     Code = "malformed-request"
	InvalidContent       Code = "invalid-content"
	UnsupportedMediaType Code = "unsupported-media-type"
	PayloadTooLarge      Code = "payload-too-large"
	NotFound             Code = "not-found"
	MethodNotAllowed     Code = "method-not-allowed"
	Unauthenticated      Code = "unauthenticated"
	InvalidCredentials   Code = "invalid-credentials"
	SecondFactorRequired Code = "second-factor-required"
	AmbiguousCredentials Code = "ambiguous-credentials"
	Forbidden            Code = "forbidden"
	InsufficientScope    Code = "insufficient-scope"
	CSRFTokenMissing     Code = "csrf-token-missing"
	CSRFTokenInvalid     Code = "csrf-token-invalid"
	CrossSiteRequest     Code = "cross-site-request"
	HTTPSRequired        Code = "https-required"
	HostNotAllowed       Code = "host-not-allowed"
	QuotaExceeded        Code = "quota-exceeded"
	Overloaded           Code = "overloaded"
	StoreUnavailable     Code = "store-unavailable"
	AccountExists        Code = "account-exists"
	Conflict             Code = "conflict"
	InternalError        Code = "internal-error"
)

// Status returns the HTTP status of c; an unknown code is a 500.
func (c Code) Status() int { return c.facts().status }

// Title returns the short, fixed summary of c (RFC 9457 section 3.1.3).
func (c Code) Title() string { return c.facts().title }

// Type returns the problem type URI of c (RFC 9457 section 3.1.1).
func (c Code) Type() string {
	if c == QuotaExceeded {
		// draft-ietf-httpapi-ratelimit-headers section 6 registers this one.
		return "https://iana.org/assignments/http-problem-types#quota-exceeded"
	}
	return "urn:merlon:problem:" + string(c)
}

type facts struct {
	status int
	title  string
}

func (c Code) facts() facts {
	switch c {
	case MalformedRequest:
		return facts{http.StatusBadRequest, "Malformed request"}
	case InvalidContent:
		return facts{http.StatusUnprocessableEntity, "Invalid content"}
	case UnsupportedMediaType:
		return facts{http.StatusUnsupportedMediaType, "Unsupported media type"}
	case PayloadTooLarge:
		return facts{http.StatusRequestEntityTooLarge, "Payload too large"}
	case NotFound:
		return facts{http.StatusNotFound, "Not found"}
	case MethodNotAllowed:
		return facts{http.StatusMethodNotAllowed, "Method not allowed"}
	case Unauthenticated:
		return facts{http.StatusUnauthorized, "Authentication required"}
	case InvalidCredentials:
		return facts{http.StatusUnauthorized, "Invalid credentials"}
	case SecondFactorRequired:
		return facts{http.StatusUnauthorized, "Second factor required"}
	case AmbiguousCredentials:
		return facts{http.StatusBadRequest, "Ambiguous credentials"}
	case Forbidden:
		return facts{http.StatusForbidden, "Forbidden"}
	case InsufficientScope:
		return facts{http.StatusForbidden, "Insufficient scope"}
	case CSRFTokenMissing:
		return facts{http.StatusForbidden, "CSRF token missing"}
	case CSRFTokenInvalid:
		return facts{http.StatusForbidden, "CSRF token invalid"}
	case CrossSiteRequest:
		return facts{http.StatusForbidden, "Cross-site request refused"}
	case HTTPSRequired:
		return facts{http.StatusForbidden, "HTTPS required"}
	case HostNotAllowed:
		return facts{http.StatusMisdirectedRequest, "Host not allowed"}
	case QuotaExceeded:
		return facts{http.StatusTooManyRequests, "Quota exceeded"}
	case Overloaded:
		return facts{http.StatusServiceUnavailable, "Overloaded"}
	case StoreUnavailable:
		return facts{http.StatusServiceUnavailable, "Service unavailable"}
	case AccountExists:
		return facts{http.StatusConflict, "Account exists"}
	case Conflict:
		return facts{http.StatusConflict, "Conflict"}
	case InternalError:
		return facts{http.StatusInternalServerError, "Internal error"}
	}
	return facts{http.StatusInternalServerError, "Internal error"}
}
