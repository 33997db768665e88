package e2e_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// canary is a listener that nobody should ever talk to.
type canary struct {
	url  string
	hits atomic.Int32
}

func newCanary(t *testing.T) *canary {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &canary{url: "http://" + l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.hits.Add(1)
			conn.Close()
		}
	}()
	return c
}

// A token that was put together by somebody else is nobody's, whatever it says and whatever it brings; it leaves an
// event, and nothing is fetched.
func TestASVS_V9_1_3_HostileTokensAreRefusedAndNothingIsFetched(t *testing.T) {
	t.Parallel()
	s := share(t)
	ada := s.register(t)
	c := s.client(t)
	good := c.obtain(t, ada.account)
	b64 := base64.RawURLEncoding
	parts := strings.Split(good.access, ".")
	header, err := b64.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	claims, err := b64.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	signature, err := b64.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(header, &h); err != nil {
		t.Fatal(err)
	}
	keys, _ := c.do(t, "GET", "/.well-known/jwks.json", nil).want(t, 200).at(t, "keys").([]any)
	public := text(keys[0].(object)["x"])
	rawPublic, err := b64.DecodeString(public)
	if err != nil {
		t.Fatal(err)
	}

	attackers, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	trap := newCanary(t)
	text := func(header, claims string) string {
		return b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	}
	signed := func(header, claims string) string {
		in := text(header, claims)
		return in + "." + b64.EncodeToString(ed25519.Sign(private, []byte(in)))
	}
	mac := func(secret []byte) string {
		in := text(`{"alg":"HS256","kid":"`+h.Kid+`","typ":"at+jwt"}`, string(claims))
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(in))
		return in + "." + b64.EncodeToString(m.Sum(nil))
	}
	bring := func(member string) string {
		return signed(`{"alg":"EdDSA","kid":"`+h.Kid+`","typ":"at+jwt",`+member+`}`, string(claims))
	}
	jwk := `{"kty":"OKP","crv":"Ed25519","kid":"` + h.Kid + `","x":"` + b64.EncodeToString(attackers) + `"}`
	flip := func(b []byte, i int) string {
		changed := append([]byte(nil), b...)
		changed[i] ^= 1
		return b64.EncodeToString(changed)
	}
	last := parts[2][len(parts[2])-1]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	respelled := good.access[:len(good.access)-1] + string(alphabet[strings.IndexByte(alphabet, last)+1])

	var events []wantEvent
	for _, tt := range []struct{ name, token, reason string }{
		{"no algorithm", text(`{"alg":"none","kid":"`+h.Kid+`","typ":"at+jwt"}`, string(claims)) + ".", "algorithm"},
		{"no algorithm, in other letters", text(`{"alg":"nOnE","kid":"`+h.Kid+`","typ":"at+jwt"}`, string(claims)) + ".", "algorithm"},
		{"no algorithm, with the signature of a good one", text(`{"alg":"none","kid":"`+h.Kid+`","typ":"at+jwt"}`, string(claims)) + "." + parts[2], "algorithm"},
		{"HS256 with the public key for a secret", mac(rawPublic), "algorithm"},
		{"HS256 with its text for a secret", mac([]byte(public)), "algorithm"},
		{"signed with another key", signed(string(header), string(claims)), "signature"},
		{"signed with another key that has a name of its own", signed(`{"alg":"EdDSA","kid":"attackers","typ":"at+jwt"}`, string(claims)), "key"},
		{"a name that is a path", signed(`{"alg":"EdDSA","kid":"../../../../dev/null","typ":"at+jwt"}`, string(claims)), "key"},
		{"a name that is a URL", signed(`{"alg":"EdDSA","kid":"`+trap.url+`/key","typ":"at+jwt"}`, string(claims)), "key"},
		{"a key of its own", bring(`"jwk":` + jwk), "header"},
		{"a place to fetch keys", bring(`"jku":"` + trap.url + `/jwks.json"`), "header"},
		{"a place to fetch a certificate", bring(`"x5u":"` + trap.url + `/cert.pem"`), "header"},
		{"a certificate", bring(`"x5c":["MIIB"]`), "header"},
		{"an extension that must be understood", bring(`"crit":["b64"],"b64":false`), "header"},
		{"compression", bring(`"zip":"DEF"`), "header"},
		{"another type", signed(`{"alg":"EdDSA","kid":"`+h.Kid+`","typ":"JWT"}`, string(claims)), "signature"},
		{"a name twice", signed(`{"alg":"EdDSA","kid":"x","kid":"`+h.Kid+`","typ":"at+jwt"}`, string(claims)), "malformed"},
		{"more scopes under the old signature", parts[0] + "." + b64.EncodeToString([]byte(strings.Replace(string(claims), `"scope":"`, `"scope":"events:read `, 1))) + "." + parts[2], "signature"},
		{"a bit of the signature", parts[0] + "." + parts[1] + "." + flip(signature, 10), "signature"},
		{"a bit of the claims", parts[0] + "." + flip(claims, 10) + "." + parts[2], "signature"},
		{"another spelling of the signature", respelled, "malformed"},
		{"padding", good.access + "==", "malformed"},
		{"cut off", good.access[:len(good.access)-6], "signature"},
		{"without a signature", parts[0] + "." + parts[1] + ".", "signature"},
		{"two parts", parts[0] + "." + parts[1], "malformed"},
		{"a part too many", good.access + ".x", "malformed"},
		{"as long as a header may be", signed(string(header), `{"x":"`+strings.Repeat("x", 5800)+`"}`), "signature"},
		{"a refresh token", good.refresh, "malformed"},
		{"nothing that looks like a token", marker, "malformed"},
	} {
		d := s.client(t)
		a := d.bearer(t, tt.token, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
		if got := a.header.Get("Www-Authenticate"); got != `Bearer realm="merlon", error="invalid_token"` {
			t.Errorf("%s: WWW-Authenticate is %q", tt.name, got)
		}
		events = append(events, wantEvent{a, "authn_token_rejected", "authentication", "medium", "refused", "", "GET /api/v1/users/me", object{"reason": tt.reason, "credential": "token"}})
		d.bearer(t, tt.token, "GET", "/api/v1/posts", nil).wantProblem(t, 401, "unauthenticated") // on a public route too
	}
	// One that is longer is no header of ours: it does not come as far as the token.
	c.bearer(t, signed(string(header), strings.Repeat("x", 8<<10)), "GET", "/api/v1/users/me", nil).wantProblem(t, 400, "malformed-request")
	c.bearer(t, good.access, "GET", "/api/v1/users/me", nil).want(t, 200)
	s.wantEvents(t, events...)
	if n := trap.hits.Load(); n != 0 {
		t.Errorf("%d connections went to where the tokens pointed", n)
	}
	if conn, err := net.Dial("tcp", strings.TrimPrefix(trap.url, "http://")); err != nil {
		t.Errorf("the trap was not open: %v", err)
	} else {
		conn.Close()
	}
}

// Thirty bad tokens in a minute are all that an address has, like all refused credentials.
func TestRefusedTokensAreCountedByAddress(t *testing.T) {
	t.Parallel()
	s := start(t)
	good := s.client(t).obtain(t, s.user)
	c := s.client(t)
	for i := range 30 {
		c.bearer(t, fmt.Sprintf("e30.e30.%d", i), "GET", "/api/v1/posts", nil).wantProblem(t, 401, "unauthenticated")
	}
	if got := violated(t, c.bearer(t, good.access, "GET", "/api/v1/posts", nil)); got != "bad_credentials" {
		t.Errorf("violated-policies is %q, want bad_credentials", got)
	}
	s.client(t).bearer(t, good.access, "GET", "/api/v1/posts", nil).want(t, 200)
}
