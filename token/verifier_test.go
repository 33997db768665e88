package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/token"
)

// Tokens of these tests are put together by hand, by RFC 7515 and RFC 9068, and signed by the standard library.

var b64 = base64.RawURLEncoding

// issuer is somebody who signs with Ed25519 whatever he likes.
type issuer struct {
	public  ed25519.PublicKey
	private ed25519.PrivateKey
}

func newIssuer(t testing.TB) issuer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{public, private}
}

func (i issuer) sign(header, payload string) string {
	text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	return text + "." + b64.EncodeToString(ed25519.Sign(i.private, []byte(text)))
}

const goodHeader = `{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// claims returns a good payload with changes: pairs of a member and its JSON, "" to leave it out.
func claims(changes ...string) string {
	members := []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope", "sid"}
	values := map[string]string{
		"iss": `"https://api.example.com"`, "sub": `"usr_1"`, "aud": `"https://api.example.com"`, "jti": `"j1"`, "client_id": `"first-party"`,
		"scope": `"posts:read posts:write"`, "sid": `"ses_1"`,
		"exp": fmt.Sprint(noon.Unix() + 900), "nbf": fmt.Sprint(noon.Unix()), "iat": fmt.Sprint(noon.Unix()),
	}
	for i := 0; i < len(changes); i += 2 {
		if _, known := values[changes[i]]; !known {
			members = append(members, changes[i])
		}
		values[changes[i]] = changes[i+1]
	}
	var parts []string
	for _, m := range members {
		if values[m] != "" {
			parts = append(parts, `"`+m+`":`+values[m])
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (i issuer) verifier(t testing.TB) *token.Verifier {
	t.Helper()
	set, err := token.NewKeySet(token.EdDSA, token.Key{ID: "k1", Public: i.public})
	if err != nil {
		t.Fatal(err)
	}
	v, err := token.NewVerifier(token.VerifierConfig{Keys: set, Issuer: "https://api.example.com", Audience: "https://api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// reason returns why a token was refused, "" when it was not.
func reason(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var refusal *token.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("the error is no refusal: %v", err)
	}
	return refusal.Reason()
}

func TestAGoodAccessTokenSaysWhatItSays(t *testing.T) {
	i := newIssuer(t)
	c, err := i.verifier(t).Verify(i.sign(goodHeader, claims()), noon)
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer != "https://api.example.com" || c.Subject != "usr_1" || c.Audience != "https://api.example.com" || c.ID != "j1" ||
		c.ClientID != "first-party" || strings.Join(c.Scopes, ",") != "posts:read,posts:write" || c.SessionID != "ses_1" ||
		!c.ExpiresAt.Equal(noon.Add(15*time.Minute)) || !c.IssuedAt.Equal(noon) || !c.NotBefore.Equal(noon) {
		t.Errorf("the claims are %+v", c)
	}
}

func TestASVS_V9_1_2_OnlyTheConfiguredAlgorithmIsAccepted(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	der, err := x509.MarshalPKIXPublicKey(i.public)
	if err != nil {
		t.Fatal(err)
	}
	// The classic: the public key, which everybody has, as the secret of a MAC.
	confused := func(secret []byte) string {
		text := b64.EncodeToString([]byte(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`)) + "." + b64.EncodeToString([]byte(claims()))
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(text))
		return text + "." + b64.EncodeToString(m.Sum(nil))
	}
	unsigned := func(algorithm string) string {
		return b64.EncodeToString([]byte(`{"alg":"`+algorithm+`","kid":"k1","typ":"at+jwt"}`)) + "." + b64.EncodeToString([]byte(claims())) + "."
	}
	for name, text := range map[string]string{
		"none":                             unsigned("none"),
		"None":                             unsigned("None"),
		"nOnE":                             unsigned("nOnE"),
		"NONE":                             unsigned("NONE"),
		"a name in other letters":          i.sign(`{"alg":"eddsa","kid":"k1","typ":"at+jwt"}`, claims()),
		"the fully specified name":         i.sign(`{"alg":"Ed25519","kid":"k1","typ":"at+jwt"}`, claims()),
		"another one":                      i.sign(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, claims()),
		"none at all":                      i.sign(`{"kid":"k1","typ":"at+jwt"}`, claims()),
		"HS256 with the raw public key":    confused(i.public),
		"HS256 with the key in DER":        confused(der),
		"HS256 with the key in PEM":        confused(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HS256 with the key in base64":     confused([]byte(b64.EncodeToString(i.public))),
		"HS256 with nothing for a key":     confused(nil),
		"a MAC that is named as it is not": strings.Replace(confused(i.public), b64.EncodeToString([]byte(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`)), b64.EncodeToString([]byte(goodHeader)), 1),
	} {
		want := "algorithm"
		if strings.HasPrefix(name, "a MAC") {
			want = "signature"
		}
		_, err := v.Verify(text, noon)
		if got := reason(t, err); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, err := v.Verify(i.sign(goodHeader, claims()), noon); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

func TestASVS_V9_1_3_TheHeaderBringsNoKey(t *testing.T) {
	i, attacker := newIssuer(t), newIssuer(t)
	v := i.verifier(t)
	jwk := `{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"` + b64.EncodeToString(attacker.public) + `"}`
	for name, tt := range map[string]struct{ header, want string }{
		"a key of its own":             {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","jwk":` + jwk + `}`, "header"},
		"where to fetch keys":          {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","jku":"https://evil.example/jwks.json"}`, "header"},
		"where to fetch a certificate": {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","x5u":"https://evil.example/c.pem"}`, "header"},
		"a certificate":                {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","x5c":["MIIB"]}`, "header"},
		"a thumbprint":                 {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","x5t":"AAAA"}`, "header"},
		"what must be understood":      {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","crit":["exp"],"exp":1}`, "header"},
		"crit, empty":                  {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","crit":[]}`, "header"},
		"a payload without encoding":   {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","b64":false}`, "header"},
		"b64 true":                     {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","b64":true}`, "header"},
		"compression":                  {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","zip":"DEF"}`, "header"},
		"a content type":               {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","cty":"JWT"}`, "header"},
		"something unknown":            {`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","x":"y"}`, "header"},
		"a known name in capitals":     {`{"alg":"EdDSA","KID":"k1","typ":"at+jwt"}`, "header"},
		"the name of an unknown key":   {`{"alg":"EdDSA","kid":"k2","typ":"at+jwt"}`, "key"},
		"a path for a name":            {`{"alg":"EdDSA","kid":"../../dev/null","typ":"at+jwt"}`, "key"},
		"SQL for a name":               {`{"alg":"EdDSA","kid":"' UNION SELECT 'x","typ":"at+jwt"}`, "key"},
		"no name":                      {`{"alg":"EdDSA","typ":"at+jwt"}`, "key"},
		"an empty name":                {`{"alg":"EdDSA","kid":"","typ":"at+jwt"}`, "key"},
		"a name that is a number":      {`{"alg":"EdDSA","kid":1,"typ":"at+jwt"}`, "malformed"},
		"a name that is null":          {`{"alg":"EdDSA","kid":null,"typ":"at+jwt"}`, "malformed"},
		"two names":                    {`{"alg":"EdDSA","kid":"k1","kid":"k1","typ":"at+jwt"}`, "malformed"},
		"two algorithms":               {`{"alg":"none","alg":"EdDSA","kid":"k1","typ":"at+jwt"}`, "malformed"},
		"two, one of them escaped":     {`{"alg":"EdDSA","\u0061lg":"none","kid":"k1","typ":"at+jwt"}`, "malformed"},
		"no object":                    {`["EdDSA"]`, "malformed"},
		"null":                         {`null`, "algorithm"},
		"two objects":                  {goodHeader + goodHeader, "malformed"},
		"a NUL in a name":              {`{"alg":"EdDSA","kid":"k1\u0000","typ":"at+jwt"}`, "malformed"},
		"a byte that is no UTF-8":      {"{\"alg\":\"EdDSA\",\"kid\":\"k1\xff\",\"typ\":\"at+jwt\"}", "malformed"},
	} {
		// Signed by the attacker, and by the issuer himself: neither helps.
		for who, text := range map[string]string{"the attacker": attacker.sign(tt.header, claims()), "the issuer": i.sign(tt.header, claims())} {
			_, err := v.Verify(text, noon)
			if got := reason(t, err); got != tt.want {
				t.Errorf("%s, signed by %s: %q, want %q", name, who, got, tt.want)
			}
		}
	}
	if _, err := v.Verify(attacker.sign(goodHeader, claims()), noon); reason(t, err) != "signature" {
		t.Errorf("signed by the attacker under the name of our key: %v", err)
	}
	for name, header := range map[string]string{
		"blanks in the header": "{ \"typ\" : \"at+jwt\",\n\"kid\":\"k1\",\t\"alg\":\"EdDSA\" }",
		"an escaped name":      `{"\u0061lg":"EdDSA","kid":"k1","typ":"at+jwt"}`,
	} {
		if _, err := v.Verify(i.sign(header, claims()), noon); err != nil {
			t.Errorf("%s: %v, want it accepted", name, err)
		}
	}
}

func TestASVS_V9_2_2_OnlyAccessTokensAreAccessTokens(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	for _, typ := range []string{`,"typ":"JWT"`, `,"typ":"jwt"`, `,"typ":"AT+JWT"`, `,"typ":"application/at+jwt"`, `,"typ":"logout+jwt"`, `,"typ":"id+jwt"`,
		`,"typ":"dpop+jwt"`, `,"typ":"secevent+jwt"`, `,"typ":""`, ``, `,"typ":"at+jwt "`} {
		_, err := v.Verify(i.sign(`{"alg":"EdDSA","kid":"k1"`+typ+`}`, claims()), noon)
		if got := reason(t, err); got != "type" {
			t.Errorf("%s: %q, want type", typ, got)
		}
	}
	if _, err := v.Verify(i.sign(goodHeader, claims()), noon); err != nil {
		t.Error(err)
	}
}

func TestASVS_V9_2_1_TokensHoldInTheirTimeOnly(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	at := func(seconds int64) string { return fmt.Sprint(noon.Unix() + seconds) }
	for name, tt := range map[string]struct {
		payload string
		want    string
	}{
		"a second before its end":           {claims("exp", at(1)), ""},
		"at its end":                        {claims("iat", at(-900), "nbf", at(-900), "exp", at(0)), "expired"},
		"a second after":                    {claims("iat", at(-900), "nbf", at(-900), "exp", at(-1)), "expired"},
		"made ten seconds from now":         {claims("iat", at(10)), ""},
		"made eleven seconds from now":      {claims("iat", at(11)), "not_yet_valid"},
		"good in ten seconds":               {claims("nbf", at(10)), ""},
		"good in eleven seconds":            {claims("nbf", at(11)), "not_yet_valid"},
		"for an hour":                       {claims("exp", at(3600)), ""},
		"for an hour and a second":          {claims("exp", at(3601)), "lifetime"},
		"for ever":                          {claims("exp", "99999999999"), "lifetime"},
		"over before it began":              {claims("iat", at(5), "exp", at(4)), "lifetime"},
		"over when it began":                {claims("iat", at(5), "exp", at(5)), "lifetime"},
		"without an end":                    {claims("exp", ""), "claims"},
		"without a beginning":               {claims("nbf", ""), "claims"},
		"without a time of making":          {claims("iat", ""), "claims"},
		"an end in text":                    {claims("exp", `"`+at(900)+`"`), "claims"},
		"an end with a fraction":            {claims("exp", at(900)+".5"), "claims"},
		"an end with a fraction of nothing": {claims("exp", at(900)+".0"), "claims"},
		"an end in powers of ten":           {claims("exp", "1e20"), "claims"},
		"a negative end":                    {claims("exp", "-1"), "claims"},
		"a minus zero":                      {claims("iat", "-0"), "claims"},
		"an end beyond 64 bits":             {claims("exp", "99999999999999999999999"), "claims"},
		"an end of 13 digits":               {claims("exp", "1772366400000"), "claims"},
		"an end that is null":               {claims("exp", "null"), "claims"},
		"an end that is true":               {claims("exp", "true"), "claims"},
		"an end that is a list":             {claims("exp", "["+at(900)+"]"), "claims"},
		"an end that is no JSON":            {claims("exp", "NaN"), "malformed"},
		"an end with a zero before it":      {claims("exp", "0"+at(900)), "malformed"},
		"two ends":                          {claims("exp", at(-900)+`,"exp":`+at(900)), "malformed"},
		"two ends, one of them escaped":     {claims("exp", at(900)+`,"\u0065xp":`+at(900)), "malformed"},
		"an end in capitals is none":        {claims("exp", "", "EXP", at(900)), "claims"},
	} {
		_, err := v.Verify(i.sign(goodHeader, tt.payload), noon)
		if got := reason(t, err); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestASVS_V9_2_3_TokensAreForTheirAudienceAndOfTheirIssuer(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	const good = "https://api.example.com"
	for name, wrong := range map[string]string{
		"another one":         `"https://other.example.com"`,
		"the beginning of it": `"https://api.example.co"`,
		"it and more":         `"https://api.example.com/"`,
		"in other letters":    `"https://API.example.com"`,
		"in clear":            `"http://api.example.com"`,
		"with a blank":        `" https://api.example.com"`,
		"a list of it":        `["` + good + `"]`,
		"a list with it":      `["https://other.example.com","` + good + `"]`,
		"an empty list":       `[]`,
		"an object":           `{"` + good + `":1}`,
		"nothing":             ``,
		"null":                `null`,
		"an empty text":       `""`,
		"a number":            `1`,
	} {
		for claim, kind := range map[string]string{"iss": "issuer", "aud": "audience"} {
			_, err := v.Verify(i.sign(goodHeader, claims(claim, wrong)), noon)
			if got := reason(t, err); got != kind && got != "claims" {
				t.Errorf("%s is %s: %q, want %q", claim, name, got, kind)
			}
		}
	}
	for _, same := range []string{`"https://api.example.com"`, `"https:\/\/api.example.com"`} {
		if _, err := v.Verify(i.sign(goodHeader, claims("aud", same, "iss", same)), noon); err != nil {
			t.Errorf("%s: %v", same, err)
		}
	}
}

func TestAllClaimsAreRequiredAndOfTheirType(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	for _, claim := range []string{"iss", "sub", "aud", "jti", "client_id", "sid", "scope"} {
		for _, wrong := range []string{"", "null", "1", `["x"]`, `{}`, `""`} {
			if claim == "scope" && wrong == `""` {
				continue // no scopes
			}
			_, err := v.Verify(i.sign(goodHeader, claims(claim, wrong)), noon)
			if got := reason(t, err); got != "claims" {
				t.Errorf("%s is %q: %q, want claims", claim, wrong, got)
			}
		}
	}
	for scope, want := range map[string]string{`""`: "", `"a"`: "", `"a b"`: "", `" a"`: "claims", `"a  b"`: "claims", `"a "`: "claims",
		`"` + strings.Repeat("a ", 255) + `a"`: "", `"` + strings.Repeat("a ", 256) + `a"`: "claims"} {
		_, err := v.Verify(i.sign(goodHeader, claims("scope", scope)), noon)
		if got := reason(t, err); got != want {
			t.Errorf("scope %.20s: %q, want %q", scope, got, want)
		}
	}
	for name, payload := range map[string]string{"no JSON": "x", "a list": "[]", "nothing": "", "two objects": "{}{}", "a duplicate that nobody reads": claims("x", `1,"x":2`)} {
		_, err := v.Verify(i.sign(goodHeader, payload), noon)
		if got := reason(t, err); got != "malformed" {
			t.Errorf("a payload that is %s: %q, want malformed", name, got)
		}
	}
	if _, err := v.Verify(i.sign(goodHeader, claims("x", "1")), noon); err != nil {
		t.Errorf("a claim that nobody reads: %v", err)
	}
}

// padded returns a token whose part n decodes to what it did before, but has another spelling.
func TestEncodingsHaveOneSpelling(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	good := i.sign(goodHeader, claims())
	parts := strings.Split(good, ".")
	for name, spell := range map[string]func(string) string{
		"padding":             func(s string) string { return s + "=" },
		"two of it":           func(s string) string { return s + "==" },
		"a line break":        func(s string) string { return s[:4] + "\n" + s[4:] },
		"a carriage return":   func(s string) string { return s + "\r" },
		"a blank":             func(s string) string { return s[:4] + " " + s[4:] },
		"a blank before":      func(s string) string { return " " + s },
		"a character of none": func(s string) string { return s[:4] + "?" + s[4:] },
		"a NUL":               func(s string) string { return s + "\x00" },
		"a letter of no byte": func(s string) string { return s + "A" }, // 1 more than a multiple of 4, or other bytes
		"nothing":             func(string) string { return "" },
	} {
		for n := range 3 {
			changed := append([]string(nil), parts...)
			if changed[n] = spell(changed[n]); name == "padding" || name == "two of it" {
				for len(changed[n])%4 != 0 && strings.Count(changed[n], "=") < 2 {
					changed[n] += "="
				}
			}
			_, err := v.Verify(strings.Join(changed, "."), noon)
			if got := reason(t, err); got != "malformed" && got != "signature" {
				t.Errorf("part %d with %s: %q, want it refused", n, name, got)
			}
		}
	}
	// 64 bytes are 86 characters with four bits to spare: all sixteen spellings but one are refused.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	for spare := 1; spare < 16; spare++ {
		if _, err := v.Verify(good[:len(good)-1]+string(alphabet[last+spare]), noon); reason(t, err) != "malformed" {
			t.Errorf("another spelling of the signature: %v", err)
		}
	}
	// The standard alphabet: a signature that needs it, and the same in base64url.
	for n := 0; ; n++ {
		text := i.sign(goodHeader, claims("jti", fmt.Sprintf(`"j%d"`, n)))
		standard := strings.NewReplacer("-", "+", "_", "/").Replace(text)
		if standard == text {
			continue
		}
		if _, err := v.Verify(standard, noon); reason(t, err) != "malformed" {
			t.Errorf("the standard alphabet: %v", err)
		}
		if _, err := v.Verify(text, noon); err != nil {
			t.Error(err)
		}
		return
	}
}

func TestFormsOfTokens(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	good := i.sign(goodHeader, claims())
	parts := strings.Split(good, ".")
	for name, text := range map[string]string{
		"nothing":            "",
		"two parts":          parts[0] + "." + parts[1],
		"four parts":         good + ".",
		"five parts":         good + ".AAAA.AAAA",
		"cut off":            good[:len(good)-4],
		"a blank after it":   good + " ",
		"a line after it":    good + "\n",
		"the JSON form":      `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"the general form":   `{"payload":"` + parts[1] + `","signatures":[{"protected":"` + parts[0] + `","signature":"` + parts[2] + `"}]}`,
		"a detached payload": parts[0] + ".." + parts[2],
		"a refresh token":    "mrt_" + strings.Repeat("A", 64),
		"an API key":         "mrl_live_x_y",
		"one byte too many":  i.sign(goodHeader, claims("x", `"`+strings.Repeat("x", 6000)+`"`)),
		"a megabyte":         strings.Repeat("A", 1<<20),
		"dots":               "..",
		"many dots":          strings.Repeat(".", 8000),
	} {
		_, err := v.Verify(text, noon)
		if got := reason(t, err); got != "malformed" && got != "signature" {
			t.Errorf("%s: %q, want malformed", name, got)
		}
	}
	// The longest token there may be, to the byte, and the next one.
	for n := 5000; ; n++ {
		text := i.sign(goodHeader, claims("x", `"`+strings.Repeat("x", n)+`"`))
		_, err := v.Verify(text, noon)
		if long := len(text) > 8192; long != (reason(t, err) == "malformed") || !long && err != nil {
			t.Fatalf("a token of %d bytes: %v", len(text), err)
		}
		if len(text) > 8192 {
			break
		}
	}
	if _, err := v.Verify(good, noon); err != nil {
		t.Error(err)
	}
}

func TestKeysThatAreNoGoodAreErrors(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := large.PublicKey
	weak.E = 3
	ed := newIssuer(t).public
	for _, tt := range []struct {
		name      string
		algorithm token.Algorithm
		key       any
		ok        bool
	}{
		{"RSA of 1024 bits", token.RS256, &small.PublicKey, false},
		{"RSA of 2048 bits", token.RS256, &large.PublicKey, true},
		{"the same for PSS", token.PS512, &large.PublicKey, true},
		{"RSA with a small exponent", token.RS256, &weak, false},
		{"RSA, a private key", token.RS256, large, false},
		{"RSA for ES256", token.ES256, &large.PublicKey, false},
		{"P-256 for ES256", token.ES256, &p256.PublicKey, true},
		{"P-256 for ES384", token.ES384, &p256.PublicKey, false},
		{"a curve without a point", token.ES256, &ecdsa.PublicKey{Curve: elliptic.P256()}, false},
		{"a point without a curve", token.ES256, &ecdsa.PublicKey{}, false},
		{"Ed25519 for EdDSA", token.EdDSA, ed, true},
		{"Ed25519, cut off", token.EdDSA, ed[:31], false},
		{"Ed25519 as bytes for HS256", token.HS256, ed, false},
		{"31 bytes for HS256", token.HS256, make([]byte, 31), false},
		{"32 bytes for HS256", token.HS256, make([]byte, 32), true},
		{"47 bytes for HS384", token.HS384, make([]byte, 47), false},
		{"48 bytes for HS384", token.HS384, make([]byte, 48), true},
		{"63 bytes for HS512", token.HS512, make([]byte, 63), false},
		{"64 bytes for HS512", token.HS512, make([]byte, 64), true},
		{"a megabyte", token.HS256, make([]byte, 1<<20), false},
		{"text", token.HS256, strings.Repeat("x", 64), false},
		{"nothing", token.EdDSA, nil, false},
		{"none", token.Algorithm("none"), ed, false},
		{"no algorithm", token.Algorithm(""), ed, false},
	} {
		if _, err := token.NewKeySet(tt.algorithm, token.Key{ID: "k", Public: tt.key}); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %v", tt.name, err, tt.ok)
		}
	}
	if _, err := token.NewKeySet(token.EdDSA, token.Key{ID: "k", Public: ed}, token.Key{ID: "k", Public: newIssuer(t).public}); err == nil {
		t.Error("two keys of one name are a set")
	}
	if _, err := token.NewKeySet(token.EdDSA, token.Key{Public: ed}); err == nil {
		t.Error("a key without a name is in a set")
	}
}

func TestKeySetsAreReadStrictly(t *testing.T) {
	i := newIssuer(t)
	x := b64.EncodeToString(i.public)
	good := `"kty":"OKP","crv":"Ed25519","kid":"k1","x":"` + x + `"`
	token1 := i.sign(goodHeader, claims())
	for name, tt := range map[string]struct {
		doc string
		ok  bool
	}{
		"a key":                         {`{` + good + `}`, true},
		"a set":                         {`{"keys":[{` + good + `}]}`, true},
		"for signatures":                {`{` + good + `,"use":"sig","alg":"EdDSA","key_ops":["verify"]}`, true},
		"with what is not looked at":    {`{` + good + `,"x5u":"https://evil.example/","note":1}`, true},
		"for encryption":                {`{` + good + `,"use":"enc"}`, false},
		"for something else":            {`{` + good + `,"use":"SIG"}`, false},
		"a use that is a list":          {`{` + good + `,"use":["sig"]}`, false},
		"to sign only":                  {`{` + good + `,"key_ops":["sign"]}`, false},
		"to encrypt too":                {`{` + good + `,"key_ops":["verify","encrypt"]}`, false},
		"to do nothing":                 {`{` + good + `,"key_ops":[]}`, false},
		"operations twice":              {`{` + good + `,"key_ops":["verify","verify"]}`, false},
		"operations in text":            {`{` + good + `,"key_ops":"verify"}`, false},
		"of another algorithm":          {`{` + good + `,"alg":"ES256"}`, false},
		"of none":                       {`{` + good + `,"alg":"none"}`, false},
		"private":                       {`{` + good + `,"d":"` + x + `"}`, false},
		"without a name":                {`{"kty":"OKP","crv":"Ed25519","x":"` + x + `"}`, false},
		"of another type":               {strings.Replace(`{`+good+`}`, "OKP", "EC", 1), false},
		"of another curve":              {strings.Replace(`{`+good+`}`, "Ed25519", "X25519", 1), false},
		"without a type":                {`{"crv":"Ed25519","kid":"k1","x":"` + x + `"}`, false},
		"a type in capitals":            {`{"KTY":"OKP","crv":"Ed25519","kid":"k1","x":"` + x + `"}`, false},
		"padded":                        {strings.Replace(`{`+good+`}`, x, x+"=", 1), false},
		"cut off":                       {strings.Replace(`{`+good+`}`, x, x[:40], 1), false},
		"two of one name":               {`{"keys":[{` + good + `},{` + good + `}]}`, false},
		"with one of another algorithm": {`{"keys":[{` + good + `},{"kty":"oct","kid":"k2","k":"` + x + `"}]}`, false},
		"a member twice":                {`{` + good + `,"x":"` + x + `"}`, false},
		"a list":                        {`[{` + good + `}]`, false},
		"keys that are no list":         {`{"keys":{` + good + `}}`, false},
		"a key that is no object":       {`{"keys":[1]}`, false},
		"a key that is null":            {`{"keys":[null]}`, false},
		"not JSON":                      {`x`, false},
		"too long":                      {`{` + good + `,"y":"` + strings.Repeat("y", 64<<10) + `"}`, false},
	} {
		set, err := token.ParseKeySet(token.EdDSA, []byte(tt.doc))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %v", name, err, tt.ok)
			continue
		}
		if tt.ok {
			if _, _, err := set.Verify(token1); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	empty, err := token.ParseKeySet(token.EdDSA, []byte(`{"keys":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := empty.Verify(token1); reason(t, err) != "key" {
		t.Errorf("an empty set: %v", err)
	}
}

// RFC 7518 section 3.5: the salt is as long as the hash. Wycheproof has other lengths too; here is one of our own.
func TestASaltOfAnotherLengthIsRefused(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	set, err := token.NewKeySet(token.PS256, token.Key{ID: "k1", Public: &key.PublicKey})
	if err != nil {
		t.Fatal(err)
	}
	text := b64.EncodeToString([]byte(`{"alg":"PS256","kid":"k1"}`)) + "." + b64.EncodeToString([]byte("x"))
	sum := sha256.Sum256([]byte(text))
	for _, salt := range []int{0, 20, 31, 32, 33} {
		signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: max(salt, rsa.PSSSaltLengthAuto)})
		if salt > 0 && err != nil {
			t.Fatal(err)
		}
		_, _, err = set.Verify(text + "." + b64.EncodeToString(signature))
		if (err == nil) != (salt == 32) {
			t.Errorf("a salt of %d bytes: %v", salt, err)
		}
	}
}

// RFC 8037 appendix A.4, with a name for the key in the header and so another signature: Wycheproof has no JWS of EdDSA.
func TestEdDSAOfRFC8037(t *testing.T) {
	const x, d = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
	seed, err := b64.DecodeString(d)
	if err != nil {
		t.Fatal(err)
	}
	i := issuer{private: ed25519.NewKeyFromSeed(seed)}
	set, err := token.ParseKeySet(token.EdDSA, []byte(`{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"`+x+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	h, payload, err := set.Verify(i.sign(`{"alg":"EdDSA","kid":"k1"}`, "Example of Ed25519 signing"))
	if err != nil || string(payload) != "Example of Ed25519 signing" || h.KeyID != "k1" || h.Type != "" {
		t.Errorf("%+v, %q, %v", h, payload, err)
	}
	// The text of the RFC itself names no key.
	_, _, err = set.Verify("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
	if reason(t, err) != "key" {
		t.Errorf("the text of the RFC: %v", err)
	}
}

func TestWhatAVerifierLacksIsReportedAtOnce(t *testing.T) {
	_, err := token.NewVerifier(token.VerifierConfig{})
	for _, want := range []string{"Keys", "Issuer", "Audience"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to name %s", err, want)
		}
	}
}

// FuzzVerifier looks for a token that is accepted and has another spelling than the one that was signed, and for a
// panic.
func FuzzVerifier(f *testing.F) {
	i := newIssuer(f)
	v := i.verifier(f)
	good := i.sign(goodHeader, claims())
	f.Add(good)
	f.Add(i.sign(`{"alg":"none","kid":"k1","typ":"at+jwt"}`, claims()))
	f.Add(i.sign(`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","jwk":{}}`, "{}"))
	f.Add("e30.e30.e30")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := v.Verify(text, noon); err == nil && text != good {
			t.Errorf("accepted: %q", text)
		} else if err != nil {
			reason(t, err)
		}
		// As a payload that the issuer signs: never a panic, and always a refusal or all that a token needs.
		c, err := v.Verify(i.sign(goodHeader, text), noon)
		if err == nil && (c.Subject == "" || c.SessionID == "" || !c.ExpiresAt.After(noon) || c.ExpiresAt.After(noon.Add(2*time.Hour))) {
			t.Errorf("accepted: %q as %+v", text, c)
		}
	})
}

func FuzzParseKeySet(f *testing.F) {
	x := b64.EncodeToString(newIssuer(f).public)
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"` + x + `"}]}`))
	f.Add([]byte(`{"kty":"RSA","kid":"k","n":"AQAB","e":"AQAB"}`))
	f.Add([]byte(`{"keys":[null]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		before := string(doc)
		for _, a := range []token.Algorithm{token.EdDSA, token.ES256, token.RS256, token.HS256} {
			set, err := token.ParseKeySet(a, doc)
			if (set == nil) == (err == nil) {
				t.Errorf("%q: %v, %v", doc, set, err)
			}
		}
		if string(doc) != before {
			t.Errorf("the document was changed: %q", doc)
		}
	})
}
