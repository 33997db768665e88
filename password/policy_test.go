package password_test

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/merlonhq/merlon/password"
	"golang.org/x/text/unicode/norm"
)

func newPolicy(t testing.TB, cfg password.PolicyConfig) *password.Policy {
	t.Helper()
	p, err := password.NewPolicy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func codes(reasons []password.Reason) string {
	var s []string
	for _, r := range reasons {
		s = append(s, string(r.Code))
	}
	return strings.Join(s, " ")
}

func TestPolicy(t *testing.T) {
	p := newPolicy(t, password.PolicyConfig{ContextWords: []string{"Merlon", "Parapet & Co."}, Blocked: []string{"Correct Horse"}})
	for name, tt := range map[string]struct {
		password string
		want     string
	}{
		"seven characters":                           {"q8#zK!m", "too-short"},
		"eight characters":                           {"q8#zK!mv", ""},
		"seven characters in many bytes":             {"пароль\u00e9", "too-short"},
		"eight code points":                          {"жёлтый\u00e9ч", ""},
		"eight code points beyond the BMP":           {"🦊🐻🐼🐨🐯🦁🐮🐷", ""},
		"eight as typed, seven in normal form":       {"q8zKmve\u0301", "too-short"},
		"128 characters":                             {strings.Repeat("aB3-", 32), ""},
		"129 characters":                             {strings.Repeat("aB3-", 32) + "x", "too-long"},
		"128 characters of four bytes":               {strings.Repeat("🦊", 128), ""},
		"a megabyte":                                 {strings.Repeat("x", 1<<20), "too-long"},
		"nothing":                                    {"", "too-short"},
		"no digit, no capital, no sign":              {"correct battery staple", ""},
		"digits only":                                {"8361029384", ""},
		"spaces at both ends":                        {"  tram lamp ", ""},
		"not UTF-8":                                  {"tram lamp \xff", "invalid-utf8"},
		"a common password":                          {"password1", "common"},
		"a common password in capitals":              {"PassWord1", "common"},
		"a common password in full-width letters":    {"ｐａｓｓｗｏｒｄ１", "common"},
		"a common password with more around it":      {"my password1 lives here", ""},
		"a blocked password of this site":            {"correct horse", "common"},
		"more than a blocked password":               {"correct horses", ""},
		"the service, repeated":                      {"merlonmerlon", "context"},
		"the service and a year":                     {"Merlon2026!", "context"},
		"the service with signs":                     {"parapet-co", "context"},
		"the service inside a sentence":              {"merlon holds the wall", ""},
		"the username":                               {"alice.smith", "context"},
		"the username without its separator":         {"AliceSmith", "context"},
		"the username and a date":                    {"alice.smith01.01.90", "context"},
		"the username backwards":                     {"htims.ecila", "context"},
		"the username in digits for letters":         {"4l1ce_5m1th", "context"},
		"the username and digits for letters at end": {"al1ce.sm1th99", "context"},
		"the local part of the e-mail address":       {"a.wonderland", "context"},
		"the whole e-mail address":                   {"a.wonderland@example.com", "context"},
		"the username and a password of its own":     {"alice.smith 8361029384756", ""},
		"a longer word that begins like the name":    {"alicesmithsonian", ""},
		"letters of the name in another order":       {"smithalice", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.Check(tt.password, "alice.smith", "", "a.wonderland@example.com", "j2")
			if codes(got) != tt.want {
				t.Errorf("Check = %q, want %q", codes(got), tt.want)
			}
			for _, r := range got {
				if r.Detail == "" || tt.password != "" && strings.Contains(r.Detail, tt.password) {
					t.Errorf("the detail %q is empty or shows the password", r.Detail)
				}
			}
		})
	}
}

func TestAShortContextWordRefusesOnlyItself(t *testing.T) {
	p := newPolicy(t, password.PolicyConfig{InsecureShortMinLength: "to see the rule alone", MinLength: 2})
	for pw, want := range map[string]string{"j2": "context", "J2": "context", "83j62910": "", "j2j2j2j2": ""} {
		if got := codes(p.Check(pw, "j2")); got != want {
			t.Errorf("Check(%q) = %q, want %q", pw, got, want)
		}
	}
}

func TestSeveralReasonsAreGivenTogether(t *testing.T) {
	p := newPolicy(t, password.PolicyConfig{MinLength: 15})
	if got := codes(p.Check("superman", "superman")); got != "too-short common context" {
		t.Errorf("Check = %q, want too-short common context", got)
	}
	if got := p.Check("superman"); got[0].Detail != "The password must have at least 15 characters." {
		t.Errorf("Detail = %q", got[0].Detail)
	}
}

func TestBytesAreLimitedWhereTheAlgorithmTakesNoMore(t *testing.T) {
	p := newPolicy(t, password.PolicyConfig{MaxBytes: 72})
	if got := codes(p.Check(strings.Repeat("é", 36))); got != "" {
		t.Errorf("72 bytes: %q, want no reason", got)
	}
	if got := codes(p.Check(strings.Repeat("é", 36) + "x")); got != "too-long" {
		t.Errorf("73 bytes: %q, want too-long", got)
	}
}

func TestPolicyConfiguration(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  password.PolicyConfig
		want string
	}{
		"a minimum of seven":               {password.PolicyConfig{MinLength: 7}, "7"},
		"a minimum of seven with a reason": {password.PolicyConfig{MinLength: 7, InsecureShortMinLength: "PINs"}, ""},
		"a negative minimum with a reason": {password.PolicyConfig{MinLength: -1, InsecureShortMinLength: "PINs"}, "-1"},
		"a minimum of fifteen":             {password.PolicyConfig{MinLength: 15}, ""},
		"a maximum of 63":                  {password.PolicyConfig{MaxLength: 63}, "63"},
		"a maximum of 64":                  {password.PolicyConfig{MaxLength: 64}, ""},
		"a maximum of 1025":                {password.PolicyConfig{MaxLength: 1025}, "1025"},
		"a minimum over the maximum":       {password.PolicyConfig{MinLength: 200}, "200"},
		"an empty blocked word":            {password.PolicyConfig{Blocked: []string{"x", ""}}, "Blocked[1]"},
		"a context word that is not text":  {password.PolicyConfig{ContextWords: []string{"\xff"}}, "ContextWords[0]"},
		"bytes under 64":                   {password.PolicyConfig{MaxBytes: 63}, "63"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := password.NewPolicy(tt.cfg)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewPolicy: %v, want an error that says %q", err, tt.want)
			}
		})
	}
}

// The list the embedded one was made from, taken independently: each of its passwords that is long enough is refused.
func TestEveryPasswordOfTheCommonListIsRefused(t *testing.T) {
	dir := os.Getenv("VECTORS_DIR")
	if dir == "" {
		t.Skip("VECTORS_DIR is not set")
	}
	f, err := os.Open(filepath.Join(dir, "passwords", "zxcvbn-common.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := newPolicy(t, password.PolicyConfig{})
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		if utf8.RuneCountInString(s.Text()) < 8 {
			continue
		}
		n++
		if got := p.Check(s.Text()); codes(got) != "common" {
			t.Errorf("Check(%q) = %q, want common", s.Text(), codes(got))
		}
	}
	if n < 17000 {
		t.Errorf("the list has %d long passwords, want at least 17000", n)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add("cafe\u0301 del mar", "alice@example.com")
	f.Add("ｐａｓｓｗｏｒｄ１", "İstanbul")
	f.Add("\x00\x00\x00\x00\x00\x00\x00\x00", "\x00")
	f.Add("\xff", strings.Repeat("é", 200))
	p := newPolicy(f, password.PolicyConfig{MinLength: 8, MaxLength: 128})
	f.Fuzz(func(t *testing.T, pw, word string) {
		got := p.Check(pw, word)
		if !utf8.ValidString(pw) {
			if codes(got) != "invalid-utf8" {
				t.Errorf("Check = %q, want invalid-utf8", codes(got))
			}
			return
		}
		// However it was typed, the verdict is the same.
		if again := p.Check(norm.NFD.String(pw), word); len(pw) < 1000 && !slices.Equal(again, got) {
			t.Errorf("Check = %v, decomposed %v", got, again)
		}
		if n := utf8.RuneCountInString(norm.NFC.String(pw)); (n < 8) != (len(got) > 0 && got[0].Code == "too-short") && n <= 128 {
			t.Errorf("%d code points: %v", n, got)
		}
		// The word itself may not be the password.
		if n := utf8.RuneCountInString(norm.NFC.String(pw)); n >= 8 && n <= 128 && len(pw) <= 256 && !strings.Contains(codes(p.Check(pw, pw)), "context") {
			t.Errorf("%q is allowed as the password of the account of that name", pw)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	p := newPolicy(b, password.PolicyConfig{ContextWords: []string{"merlon"}})
	b.ReportAllocs()
	for b.Loop() {
		p.Check("correct battery staple", "alice.smith", "a.wonderland@example.com")
	}
}

func BenchmarkNewPolicy(b *testing.B) {
	for b.Loop() {
		newPolicy(b, password.PolicyConfig{})
	}
}
