package apikey_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/apikey"
	"pgregory.net/rapid"
)

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// withChecksum appends the checksum, computed another way than the package does.
func withChecksum(body string) string {
	n := crc32.ChecksumIEEE([]byte(body))
	sum := ""
	for range 6 {
		sum = string(digits[n%62]) + sum
		n /= 62
	}
	return body + sum
}

// testKey returns a well-formed key that nobody would take for a real one.
func testKey(env string) string {
	return withChecksum("mrl_" + env + "_TESTTESTTESTTEST_" + strings.Repeat("x", 43))
}

func TestParse(t *testing.T) {
	good := testKey("live")
	secret := strings.Repeat("x", 43)
	for name, tt := range map[string]struct {
		key string
		ok  bool
	}{
		"a live key":                         {good, true},
		"a key for development":              {testKey("dev"), true},
		"nothing":                            {"", false},
		"the prefix alone":                   {"mrl_live_", false},
		"another environment":                {testKey("test"), false},
		"another environment of that length": {testKey("prod"), false},
		"no environment":                     {withChecksum("mrl__TESTTESTTESTTEST_" + secret), false},
		"another prefix":                     {withChecksum("mrk_live_TESTTESTTESTTEST_" + secret), false},
		"capitals":                           {strings.ToUpper(good), false},
		"a space before":                     {" " + good, false},
		"a space after":                      {good + " ", false},
		"a line feed after":                  {good + "\n", false},
		"a character missing":                {good[:len(good)-1], false},
		"a shorter id":                       {withChecksum("mrl_live_TESTTESTTESTTES_" + secret), false},
		"a longer id":                        {withChecksum("mrl_live_TESTTESTTESTTESTT_" + secret), false},
		"a shorter secret":                   {withChecksum("mrl_live_TESTTESTTESTTEST_" + secret[1:]), false},
		"a longer secret":                    {withChecksum("mrl_live_TESTTESTTESTTEST_" + secret + "x"), false},
		"the separator one place on":         {withChecksum("mrl_live_TESTTESTTESTTESTx_" + secret[1:]), false},
		"an underscore in the id":            {withChecksum("mrl_live_TESTTESTTEST_EST_" + secret), false},
		"a hyphen in the secret":             {withChecksum("mrl_live_TESTTESTTESTTEST_-" + secret[1:]), false},
		"a letter beyond ASCII":              {withChecksum("mrl_live_TESTTESTTESTTEST_\u00e9" + secret[2:]), false},
		"a NUL":                              {withChecksum("mrl_live_TESTTESTTESTTEST_\x00" + secret[1:]), false},
		"another checksum":                   {good[:len(good)-6] + "000000", false},
		"a checksum beyond 32 bits":          {good[:len(good)-6] + "zzzzzz", false},
		"a megabyte":                         {strings.Repeat("x", 1<<20), false},
		"a bearer token":                     {"eyJhbGciOiJub25lIn0.e30.", false},
		"two characters of the id swapped":   {strings.Replace(good, "TESTT", "ETSTT", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := apikey.Parse(tt.key)
			if !tt.ok {
				if !errors.Is(err, apikey.ErrMalformed) || p != (apikey.Parsed{}) {
					t.Errorf("Parse = %v, %v, want nothing and ErrMalformed", p, err)
				}
				return
			}
			if err != nil || p.Lookup != "TESTTESTTESTTEST" || p.Hash() != sha256.Sum256([]byte(secret)) || string(p.Env) != tt.key[4:strings.LastIndex(tt.key, "_TEST")] {
				t.Errorf("Parse = %#v, %v", p, err)
			}
		})
	}
}

func TestAGeneratedKeyHasTheFormOfTheContract(t *testing.T) {
	form := regexp.MustCompile(`^mrl_(live|dev)_[0-9A-Za-z]{16}_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$`)
	seen := make(map[string]bool)
	for _, env := range []apikey.Env{"live", "dev"} {
		for range 500 {
			text, p, err := apikey.Generate(env)
			if err != nil {
				t.Fatal(err)
			}
			m := form.FindStringSubmatch(text)
			if m == nil || m[1] != string(env) || withChecksum(text[:len(text)-6]) != text || p.Env != env {
				t.Fatalf("a key of %q does not match %v or its checksum", env, form)
			}
			parts := strings.Split(text, "_")
			secret := parts[3][:43]
			if p.Lookup != parts[2] || p.Hash() != sha256.Sum256([]byte(secret)) {
				t.Fatal("the parts are not those of the text")
			}
			if seen[p.Lookup] || seen[secret] {
				t.Fatal("an id or a secret came twice")
			}
			seen[p.Lookup], seen[secret] = true, true
		}
	}
	for _, env := range []apikey.Env{"", "prod", "LIVE"} {
		if _, _, err := apikey.Generate(env); err == nil {
			t.Errorf("Generate(%q) succeeded", env)
		}
	}
}

// Each of the 62 characters is as likely as any other, at each place. With 43,000 characters, chi-squared of 61
// degrees of freedom exceeds 140 once in ten million runs; a modulo of bytes by 62 gives about 340.
func TestSecretsHaveNoBias(t *testing.T) {
	count := make(map[rune]int)
	n := 0
	for range 1000 {
		text, _, err := apikey.Generate(apikey.Live)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range strings.Split(text, "_")[3][:43] {
			count[c]++
			n++
		}
	}
	chi2, want := 0.0, float64(n)/62
	for _, c := range digits {
		chi2 += math.Pow(float64(count[c])-want, 2) / want
	}
	if chi2 > 140 {
		t.Errorf("chi-squared = %.1f over %d characters, want under 140", chi2, n)
	}
}

func TestNoKeyWithOneCharacterChangedParses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, _, err := apikey.Generate(rapid.SampledFrom([]apikey.Env{"live", "dev"}).Draw(t, "env"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := apikey.Parse(text); err != nil {
			t.Fatalf("a generated key: %v", err)
		}
		i := rapid.IntRange(0, len(text)-1).Draw(t, "place")
		c := rapid.OneOf(rapid.SampledFrom([]byte(digits)), rapid.Byte()).Draw(t, "character")
		changed := text[:i] + string([]byte{c}) + text[i+1:]
		if _, err := apikey.Parse(changed); (err == nil) != (changed == text) {
			t.Fatalf("character %d as %q: %v", i, c, err)
		}
	})
}

func TestNothingPrintsTheSecret(t *testing.T) {
	text := testKey("live")
	p, err := apikey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r := apikey.Record{Env: p.Env, Lookup: p.Lookup, Hash: p.Hash()}
	if want := "mrl_live_…TEST"; p.Hint() != want || r.Hint() != want {
		t.Errorf("Hint = %q and %q, want %q", p.Hint(), r.Hint(), want)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{p, &p, []apikey.Parsed{p}, struct{ P apikey.Parsed }{p}} {
			if s := fmt.Sprintf(verb, v); strings.Contains(s, "xxxx") {
				t.Errorf("%s of %T shows the secret", verb, v)
			}
		}
	}
	_, err = apikey.Parse(text + "x")
	if strings.Contains(err.Error(), "xx") {
		t.Errorf("the error %q shows the key", err)
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	good, bad := testKey("live"), testKey("live")[:70]
	if n := testing.AllocsPerRun(100, func() {
		apikey.Parse(good)
		apikey.Parse(bad)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(testKey("live"))
	f.Add(testKey("dev"))
	f.Add(testKey("prod"))
	f.Add(testKey("live")[:74])
	f.Add("mrl_live_" + strings.Repeat("0", 66))
	f.Add("")
	form := regexp.MustCompile(`\Amrl_(live|dev)_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		_, err := apikey.Parse(s)
		want := form.MatchString(s) && withChecksum(s[:len(s)-6]) == s
		if (err == nil) != want {
			t.Errorf("Parse(%q): %v, want it to be accepted: %v", s, err, want)
		}
		// The same with the checksum made right, to get beyond it.
		if len(s) > 6 {
			s = withChecksum(s[:len(s)-6])
			if _, err := apikey.Parse(s); (err == nil) != form.MatchString(s) {
				t.Errorf("Parse(%q): %v, want it to be accepted: %v", s, err, form.MatchString(s))
			}
		}
	})
}
