package token_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/merlonhq/merlon/token"
)

// A fixture is a Manager over a store that can fail, with a clock that stands.
type fixture struct {
	*token.Manager
	memory *token.Memory
	store  *failing
	secret []byte
	now    time.Time
}

// failing fails on demand, and tells when it is asked.
type failing struct {
	token.Store
	err   atomic.Pointer[error]
	asked atomic.Int64
}

func (f *failing) fail(err error) { f.err.Store(&err) }

func (f *failing) failure() error {
	f.asked.Add(1)
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *failing) Lookup(ctx context.Context, family [32]byte) (token.Grant, error) {
	if err := f.failure(); err != nil {
		return token.Grant{}, err
	}
	return f.Store.Lookup(ctx, family)
}

func (f *failing) Get(ctx context.Context, id string) (token.Grant, error) {
	if err := f.failure(); err != nil {
		return token.Grant{}, err
	}
	return f.Store.Get(ctx, id)
}

func newSecret() []byte { return []byte(rand.Text() + rand.Text()) }

func (f *fixture) config() token.Config {
	return token.Config{Store: f.store, KeyStore: f.memory, Secret: f.secret, Issuer: "https://api.example.com", Now: func() time.Time { return f.now }}
}

func newFixture(t testing.TB, change func(*token.Config)) *fixture {
	t.Helper()
	f := &fixture{memory: newMemory(t, 5000), secret: newSecret(), now: noon}
	f.store = &failing{Store: f.memory}
	cfg := f.config()
	if change != nil {
		change(&cfg)
	}
	f.Manager = startManager(t, cfg)
	return f
}

func startManager(t testing.TB, cfg token.Config) *token.Manager {
	t.Helper()
	m, err := token.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func (f *fixture) begin(t testing.TB, user string) (token.Tokens, token.Grant) {
	t.Helper()
	tokens, g, err := f.Begin(t.Context(), token.Login{UserID: user, Scopes: []string{"posts:read", "posts:write"}})
	if err != nil {
		t.Fatal(err)
	}
	return tokens, g
}

// all permits the scopes of the grant.
func all(g token.Grant) ([]string, error) { return g.Scopes, nil }

// refresh wants a refresh token to be refused for a reason, or not.
func (f *fixture) refresh(t testing.TB, text, want string) token.Tokens {
	t.Helper()
	tokens, _, err := f.Refresh(t.Context(), text, f.now, all)
	if got := reason(t, err); got != want {
		t.Errorf("Refresh: %q, want %q", got, want)
	}
	return tokens
}

// verify wants an access token to be refused for a reason, or not.
func (f *fixture) verify(t testing.TB, text, want string) token.Claims {
	t.Helper()
	c, _, err := f.Verify(t.Context(), text, f.now)
	if got := reason(t, err); got != want {
		t.Errorf("Verify: %q, want %q", got, want)
	}
	return c
}

func TestConfiguration(t *testing.T) {
	m := newMemory(t, 1)
	good := token.Config{Store: m, KeyStore: m, Secret: newSecret(), Issuer: "https://api.example.com"}
	for name, tt := range map[string]struct {
		change func(*token.Config)
		want   []string // nil: none
	}{
		"the least":             {func(*token.Config) {}, nil},
		"the zero value":        {func(c *token.Config) { *c = token.Config{} }, []string{"Store is missing", "KeyStore is missing", "Issuer is missing", "Secret: the secret has 0 bytes"}},
		"a short secret":        {func(c *token.Config) { c.Secret = make([]byte, 31) }, []string{"Secret: the secret has 31"}},
		"a secret of 32 bytes":  {func(c *token.Config) { c.Secret = make([]byte, 32) }, nil},
		"a short former secret": {func(c *token.Config) { c.PreviousSecrets = [][]byte{newSecret(), {1}} }, []string{"PreviousSecrets: the secret has 1"}},
		"no algorithm of ours":  {func(c *token.Config) { c.Algorithm = "none" }, []string{`"none"`}},
		"one to verify with":    {func(c *token.Config) { c.Algorithm = token.PS256 }, []string{`"PS256"`}},
		"access for seconds":    {func(c *token.Config) { c.AccessTTL = 59 * time.Second }, []string{"59s"}},
		"access for an hour":    {func(c *token.Config) { c.AccessTTL = time.Hour }, nil},
		"access for longer":     {func(c *token.Config) { c.AccessTTL = time.Hour + 1 }, []string{"1h0m0.000000001s"}},
		"refresh before access": {func(c *token.Config) { c.RefreshTTL = 14 * time.Minute }, []string{"14m0s"}},
		"refresh with access":   {func(c *token.Config) { c.RefreshTTL = 15 * time.Minute }, nil},
		"refresh for 90 days":   {func(c *token.Config) { c.RefreshTTL = 2160 * time.Hour }, nil},
		"refresh for longer":    {func(c *token.Config) { c.RefreshTTL = 2161 * time.Hour }, []string{"2161h"}},
		"a thousand and one":    {func(c *token.Config) { c.MaxPerUser = 1001 }, []string{"1001"}},
		"several, and the last": {func(c *token.Config) { c.AccessTTL, c.MaxPerUser = -1, -5 }, []string{"-1ns", "-5"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			_, err := token.New(cfg)
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("New: %v, want %q", err, tt.want)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("New: %v, want it to say %q", err, want)
				}
			}
		})
	}
}

func TestALoginGivesAnAccessTokenAndARefreshToken(t *testing.T) {
	f := newFixture(t, func(c *token.Config) { c.Audience = "blog" })
	tokens, g, err := f.Begin(t.Context(), token.Login{
		UserID: "usr_a", Scopes: []string{"posts:read"}, Address: netip.MustParseAddr("::ffff:192.0.2.7"),
		UserAgent: "App/1.0\r\nX: \x00y\xff " + strings.Repeat("é", 200),
	})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(tokens.Access, ".")
	header, err1 := b64.DecodeString(parts[0])
	payload, err2 := b64.DecodeString(parts[1])
	if err := errors.Join(err1, err2); err != nil || len(parts) != 3 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	var h, c map[string]any
	if err := errors.Join(json.Unmarshal(header, &h), json.Unmarshal(payload, &c)); err != nil {
		t.Fatal(err)
	}
	kid, _ := h["kid"].(string)
	if len(h) != 3 || h["alg"] != "EdDSA" || h["typ"] != "at+jwt" || len(kid) != 43 {
		t.Errorf("the header is %s", header)
	}
	for name, want := range map[string]any{"iss": "https://api.example.com", "sub": "usr_a", "aud": "blog", "client_id": "first-party",
		"scope": "posts:read", "sid": g.ID, "exp": float64(noon.Unix() + 900), "iat": float64(noon.Unix()), "nbf": float64(noon.Unix()), "jti": tokens.ID} {
		if c[name] != want {
			t.Errorf("%s is %v, want %v", name, c[name], want)
		}
	}
	if len(c) != 10 || tokens.ID == "" || tokens.ExpiresIn != 15*time.Minute || !slices.Equal(tokens.Scopes, []string{"posts:read"}) {
		t.Errorf("the claims are %s, the answer %v %v", payload, tokens.ExpiresIn, tokens.Scopes)
	}
	raw, err := b64.DecodeString(strings.TrimPrefix(tokens.Refresh, "mrt_"))
	if err != nil || len(raw) != 48 || !strings.HasPrefix(tokens.Refresh, "mrt_") {
		t.Fatalf("the refresh token has %d bytes, %v", len(raw), err)
	}
	if g.Hash != sha256.Sum256(raw) || g.Family != sha256.Sum256(raw[:16]) {
		t.Error("what is stored is not the hashes of the refresh token")
	}
	if !strings.HasPrefix(g.ID, "ses_") || len(g.ID) != 40 || g.UserID != "usr_a" || g.Address != netip.MustParseAddr("192.0.2.7") ||
		!strings.HasPrefix(g.UserAgent, "App/1.0X: y ééé") || len(g.UserAgent) > 256 || !g.ExpiresAt.Equal(noon.Add(720*time.Hour)) {
		t.Errorf("the grant is %+v", g)
	}
	f.verify(t, tokens.Access, "")
	if _, _, err := f.Begin(t.Context(), token.Login{}); err == nil {
		t.Error("tokens without a user were issued")
	}
	for _, scopes := range [][]string{{"a b"}, {""}, {`a"`}, {`a\`}, {"é"}, {"a\n"}, make([]string, 257)} {
		if _, _, err := f.Begin(t.Context(), token.Login{UserID: "usr_a", Scopes: scopes}); err == nil {
			t.Errorf("tokens with the scopes %q were issued", scopes)
		}
	}
}

func TestRefreshTokensAreRandom(t *testing.T) {
	f := newFixture(t, nil)
	seen := map[string]bool{}
	for range 100 {
		tokens, _ := f.begin(t, "usr_a")
		raw, err := b64.DecodeString(tokens.Refresh[4:])
		if err != nil || seen[string(raw[:16])] || seen[string(raw[16:])] {
			t.Fatal("a part of a refresh token came before", err)
		}
		seen[string(raw[:16])], seen[string(raw[16:])] = true, true
	}
}

func TestARefreshTokenIsGoodOnce(t *testing.T) {
	f := newFixture(t, nil)
	first, g := f.begin(t, "usr_a")
	other, _ := f.begin(t, "usr_a")
	f.now = noon.Add(10 * time.Minute)
	second := f.refresh(t, first.Refresh, "")
	if second.Refresh == first.Refresh || second.Access == first.Access || second.ID == first.ID {
		t.Error("refreshing gave what there was")
	}
	f.verify(t, first.Access, "")
	if c := f.verify(t, second.Access, ""); c.SessionID != g.ID {
		t.Errorf("the new token is of %s, want %s", c.SessionID, g.ID)
	}
	third := f.refresh(t, second.Refresh, "")

	// The first one again, two uses later: somebody has stolen it, or had.
	f.refresh(t, first.Refresh, "reused")
	for _, tokens := range []token.Tokens{first, second, third} {
		f.verify(t, tokens.Access, "ended")
		f.refresh(t, tokens.Refresh, "unknown")
	}
	f.verify(t, other.Access, "") // another family of the same user
	f.refresh(t, other.Refresh, "")
}

func TestASVS_V10_4_5_OfFiftyUsesAtATimeOneSucceedsAndTheFamilyDies(t *testing.T) {
	f := newFixture(t, nil)
	tokens, _ := f.begin(t, "usr_a")
	var mu sync.Mutex
	var wg sync.WaitGroup
	var winners []token.Tokens
	reasons := map[string]int{}
	for range 50 {
		wg.Go(func() {
			next, _, err := f.Refresh(t.Context(), tokens.Refresh, f.now, all)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				winners = append(winners, next)
			}
			reasons[reason(t, err)]++
		})
	}
	wg.Wait()
	if len(winners) != 1 || reasons["reused"] != 1 || reasons[""]+reasons["reused"]+reasons["ended"]+reasons["unknown"] != 50 {
		t.Fatalf("the uses ended as %v", reasons)
	}
	f.verify(t, winners[0].Access, "ended")
	f.refresh(t, winners[0].Refresh, "unknown")
	f.verify(t, tokens.Access, "ended")
}

func TestASVS_V10_4_8_RefreshingDoesNotMoveTheEnd(t *testing.T) {
	f := newFixture(t, func(c *token.Config) { c.RefreshTTL = 2 * time.Hour })
	tokens, _ := f.begin(t, "usr_a")
	for f.now = noon.Add(10 * time.Minute); f.now.Before(noon.Add(2 * time.Hour)); f.now = f.now.Add(10 * time.Minute) {
		tokens = f.refresh(t, tokens.Refresh, "")
		f.verify(t, tokens.Access, "")
	}
	f.now = noon.Add(2*time.Hour - time.Second)
	tokens = f.refresh(t, tokens.Refresh, "")
	if tokens.ExpiresIn != time.Second {
		t.Errorf("the last access token lives %v, want no longer than its family: 1s", tokens.ExpiresIn)
	}
	f.verify(t, tokens.Access, "")
	f.now = noon.Add(2 * time.Hour)
	f.verify(t, tokens.Access, "expired")
	f.refresh(t, tokens.Refresh, "expired")
	if list, err := f.List(t.Context(), "usr_a"); err != nil || len(list) != 0 {
		t.Errorf("List = %v, %v, want nothing", list, err)
	}
	if n, err := f.Sweep(t.Context(), f.now.Add(-time.Second)); n != 0 || err != nil {
		t.Errorf("Sweep before the end = %d, %v", n, err)
	}
	if n, err := f.Sweep(t.Context(), f.now); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v, want 1", n, err)
	}
}

func TestWhatIsNotPermittedCostsNoRefreshToken(t *testing.T) {
	f := newFixture(t, nil)
	tokens, g := f.begin(t, "usr_a")
	no := errors.New("no")
	if _, _, err := f.Refresh(t.Context(), tokens.Refresh, f.now, func(token.Grant) ([]string, error) { return nil, no }); err != no {
		t.Errorf("Refresh: %v, want what permit said", err)
	}
	next, _, err := f.Refresh(t.Context(), tokens.Refresh, f.now, func(got token.Grant) ([]string, error) {
		if got.ID != g.ID || got.UserID != "usr_a" {
			t.Errorf("permit was asked about %+v", got)
		}
		return got.Scopes[:1], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := f.verify(t, next.Access, ""); !slices.Equal(c.Scopes, []string{"posts:read"}) {
		t.Errorf("scopes %v", c.Scopes)
	}
	// Less once is not less for ever (RFC 6749 section 6).
	if c := f.verify(t, f.refresh(t, next.Refresh, "").Access, ""); len(c.Scopes) != 2 {
		t.Errorf("scopes %v", c.Scopes)
	}
}

func TestASVS_V10_4_9_ARevokedGrantIsDeadAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	one, g1 := f.begin(t, "usr_a")
	two, g2 := f.begin(t, "usr_a")
	three, _ := f.begin(t, "usr_a")
	other, g4 := f.begin(t, "usr_b")
	if err := f.Revoke(t.Context(), g4.ID, "usr_a"); !errors.Is(err, token.ErrNotFound) {
		t.Errorf("Revoke of another's: %v, want ErrNotFound", err)
	}
	if err := f.Revoke(t.Context(), g1.ID, "usr_a"); err != nil {
		t.Error(err)
	}
	f.verify(t, one.Access, "ended")
	f.refresh(t, one.Refresh, "unknown")
	if n, err := f.RevokeAll(t.Context(), "usr_a", g2.ID); n != 1 || err != nil {
		t.Errorf("RevokeAll = %d, %v, want 1", n, err)
	}
	f.verify(t, three.Access, "ended")
	f.verify(t, two.Access, "")
	f.verify(t, other.Access, "")
}

func TestGrantsOfAUserAreBounded(t *testing.T) {
	f := newFixture(t, func(c *token.Config) { c.MaxPerUser = 2 })
	one, _ := f.begin(t, "usr_a")
	two, _ := f.begin(t, "usr_a")
	f.now = f.now.Add(time.Minute)
	one = f.refresh(t, one.Refresh, "")
	three, _ := f.begin(t, "usr_a")
	f.verify(t, two.Access, "ended")
	f.verify(t, one.Access, "")
	f.verify(t, three.Access, "")
}

func TestARefreshTokenThatCannotBeCostsNoStoreCall(t *testing.T) {
	f := newFixture(t, nil)
	tokens, _ := f.begin(t, "usr_a")
	good := tokens.Refresh
	for name, text := range map[string]string{
		"nothing": "", "the prefix": "mrt_", "without the prefix": good[4:], "another prefix": "mrl_" + good[4:], "a letter short": good[:67], "a letter long": good + "A",
		"a blank": good[:20] + " " + good[21:], "a line break": good[:20] + "\n" + good[21:], "standard base64": good[:20] + "+" + good[21:],
		"padding": good[:67] + "=", "an access token": tokens.Access, "a megabyte": strings.Repeat("A", 1<<20),
	} {
		if _, _, err := f.Refresh(t.Context(), text, f.now, all); reason(t, err) != "malformed" {
			t.Errorf("%s: %v, want malformed", name, err)
		}
	}
	if n := f.store.asked.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	f.refresh(t, "mrt_"+strings.Repeat("A", 64), "unknown")
	f.refresh(t, good, "")
}

// Who knows an access token, or the ID of a grant, cannot end a family with it: that takes a refresh token.
func TestAGuessEndsNoFamily(t *testing.T) {
	f := newFixture(t, nil)
	tokens, _ := f.begin(t, "usr_a")
	raw, err := b64.DecodeString(tokens.Refresh[4:])
	if err != nil {
		t.Fatal(err)
	}
	raw[3] ^= 1 // in what the family has in common
	f.refresh(t, "mrt_"+b64.EncodeToString(raw), "unknown")
	f.verify(t, tokens.Access, "")
	raw[3] ^= 1
	raw[20] ^= 1 // in the rest: somebody has had a refresh token of this family
	f.refresh(t, "mrt_"+b64.EncodeToString(raw), "reused")
	f.verify(t, tokens.Access, "ended")
}

func TestAnOutageOfTheStoreIsNotARefusal(t *testing.T) {
	f := newFixture(t, nil)
	tokens, _ := f.begin(t, "usr_a")
	outage := errors.New("outage")
	f.store.fail(outage)
	_, _, errVerify := f.Verify(t.Context(), tokens.Access, f.now)
	_, _, errRefresh := f.Refresh(t.Context(), tokens.Refresh, f.now, all)
	for what, err := range map[string]error{"Verify": errVerify, "Refresh": errRefresh} {
		var refusal *token.Refusal
		if !errors.Is(err, outage) || errors.As(err, &refusal) {
			t.Errorf("%s: %v, want the outage", what, err)
		}
		if err != nil && (strings.Contains(err.Error(), tokens.Access) || strings.Contains(err.Error(), tokens.Refresh)) {
			t.Errorf("%s: the error shows the token", what)
		}
	}
	f.store.err.Store(nil)
	f.refresh(t, tokens.Refresh, "")
}

func TestATokenOfAnotherUserThanItsGrantIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	tokens, g := f.begin(t, "usr_a")
	if err := f.memory.Delete(t.Context(), g.ID, "usr_a"); err != nil {
		t.Fatal(err)
	}
	g.UserID = "usr_b"
	if err := f.memory.Create(t.Context(), g, 10); err != nil {
		t.Fatal(err)
	}
	f.verify(t, tokens.Access, "ended")
}

func TestAManagerThatWasNotStartedIsAnOutage(t *testing.T) {
	m := newMemory(t, 1)
	manager, err := token.New(token.Config{Store: m, KeyStore: m, Secret: newSecret(), Issuer: "https://api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	var refusal *token.Refusal
	if _, _, err := manager.Verify(t.Context(), "x", noon); err == nil || errors.As(err, &refusal) {
		t.Errorf("Verify: %v, want an error that is no refusal", err)
	}
	if _, _, err := manager.Begin(t.Context(), token.Login{UserID: "usr_a"}); err == nil {
		t.Error("tokens were issued")
	}
	if _, err := manager.JWKS(); err == nil {
		t.Error("keys were published")
	}
}

// Each algorithm signs, what is published verifies it, and nothing secret is published.
func TestASVS_V9_2_4_WhatIsPublishedVerifiesWhatIsSigned(t *testing.T) {
	for _, tt := range []struct {
		algorithm token.Algorithm
		members   string // of a published key
	}{
		{token.EdDSA, "alg crv kid kty use x"},
		{token.ES256, "alg crv kid kty use x y"},
		{token.RS256, "alg e kid kty n use"},
		{token.HS256, ""},
	} {
		t.Run(string(tt.algorithm), func(t *testing.T) {
			f := newFixture(t, func(c *token.Config) { c.Algorithm, c.Audience = tt.algorithm, "blog" })
			tokens, _ := f.begin(t, "usr_a")
			f.verify(t, tokens.Access, "")
			jwks, err := f.JWKS()
			if err != nil {
				t.Fatal(err)
			}
			var doc struct{ Keys []map[string]any }
			if err := json.Unmarshal(jwks, &doc); err != nil {
				t.Fatal(err)
			}
			if tt.members == "" {
				if string(jwks) != `{"keys":[]}` {
					t.Errorf("published is %s", jwks)
				}
				return
			}
			var members []string
			for name := range doc.Keys[0] {
				members = append(members, name)
			}
			slices.Sort(members)
			if len(doc.Keys) != 1 || strings.Join(members, " ") != tt.members || doc.Keys[0]["use"] != "sig" || doc.Keys[0]["alg"] != string(tt.algorithm) {
				t.Errorf("published is %s", jwks)
			}
			set, err := token.ParseKeySet(tt.algorithm, jwks)
			if err != nil {
				t.Fatal(err)
			}
			for audience, want := range map[string]string{"blog": "", "shop": "audience"} {
				v, err := token.NewVerifier(token.VerifierConfig{Keys: set, Issuer: "https://api.example.com", Audience: audience})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := v.Verify(tokens.Access, noon); reason(t, err) != want {
					t.Errorf("a service %s: %v, want %q", audience, err, want)
				}
			}
			if n, isRSA := doc.Keys[0]["n"].(string); isRSA && len(n) != 512 { // 3072 bits
				t.Errorf("the modulus has %d characters", len(n))
			}
		})
	}
}

func FuzzRefresh(f *testing.F) {
	fix := newFixture(f, nil)
	tokens, _ := fix.begin(f, "usr_a")
	f.Add(tokens.Refresh[:67] + "A")
	f.Add("mrt_" + strings.Repeat("A", 64))
	f.Add("mrt_" + strings.Repeat("=", 64))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, tokens.Refresh[:26]) {
			return
		}
		before := fix.store.asked.Load()
		_, _, err := fix.Refresh(t.Context(), text, fix.now, all)
		if got := reason(t, err); got != "malformed" && got != "unknown" {
			t.Errorf("Refresh(%q): %v", text, err)
		}
		raw, decodeErr := b64.Strict().DecodeString(strings.TrimPrefix(text, "mrt_"))
		wellFormed := strings.HasPrefix(text, "mrt_") && decodeErr == nil && len(raw) == 48 && len(text) == 68
		if asked := fix.store.asked.Load() > before; asked != wellFormed {
			t.Errorf("Refresh(%q) asked the store: %v, want %v", text, asked, wellFormed)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	f := newFixture(b, nil)
	tokens, _ := f.begin(b, "usr_a")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Verify(b.Context(), tokens.Access, f.now); err != nil {
			b.Fatal(err)
		}
	}
}
