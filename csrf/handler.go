package csrf

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/exchange"
)

// PreSessionCookie is the name of the cookie that tells browsers without a
// session apart. It holds 256 random bits, is no credential, and is never made
// into a session: a session begins with a new id.
const PreSessionCookie = "__Host-merlon_presession"

const preSessionLen = 32 // bytes

// TokenHandler returns the handler of GET /csrf/token. It answers
//
//	{"csrf_token": "...", "header": "X-CSRF-Token", "expires_at": "2006-01-02T15:04:05Z"}
//
// with a new token for the caller's session, or, without one, for the pre-session
// cookie, which it sets unless the browser has one already.
func (p *Protection) TokenHandler() http.Handler {
	// Alone it needs an exchange of its own; inside a chain it shares the chain's.
	return exchange.New(exchange.Config{}).Handler(http.HandlerFunc(p.serveToken))
}

func (p *Protection) serveToken(w http.ResponseWriter, r *http.Request) {
	token, expires := p.TokenFor(w, r)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	// The client may be gone; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(struct {
		Token     string    `json:"csrf_token"`
		Header    string    `json:"header"`
		ExpiresAt time.Time `json:"expires_at"`
	}{token, Header, expires})
}

func newPreSession() string {
	var random [preSessionLen]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	return encoding.EncodeToString(random[:])
}

// preSession returns the value of the pre-session cookie, or "" when there is
// none that we could have made. Two of them are none: which one counts would be
// a guess.
func preSession(r *http.Request) string {
	cookies := r.CookiesNamed(PreSessionCookie)
	if len(cookies) != 1 {
		return ""
	}
	value := cookies[0].Value
	if raw, err := encoding.DecodeString(value); err != nil || len(raw) != preSessionLen ||
		len(value) != base64.RawURLEncoding.EncodedLen(preSessionLen) {
		return ""
	}
	return value
}
