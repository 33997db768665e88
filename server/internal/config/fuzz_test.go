package config_test

import (
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
)

// sound checks what holds for every load.
func sound(t *testing.T, s config.Settings, problems []config.Problem) {
	t.Helper()
	for _, p := range problems {
		if strings.ContainsAny(p.String(), "\n\r\x1b\x00") || p.ID == "" || p.Where == "" || p.Message == "" || p.Fix == "" {
			t.Errorf("problem %q", p)
		}
	}
	if config.Fatal(problems) {
		return
	}
	if s.Environment == config.Production && (len(s.SecretKey.Reveal()) < 32 || len(s.Hosts) == 0 || s.TLS.Cert == "" && len(s.TrustedProxies) == 0) {
		t.Errorf("production without what it requires:\n%s", s.YAML())
	}
	for _, o := range s.Origins {
		if o == "*" || o == "null" || s.Environment == config.Production && !strings.HasPrefix(o, "https://") {
			t.Errorf("origin %q", o)
		}
	}
	for _, p := range s.TrustedProxies {
		if p.Bits() < 7 {
			t.Errorf("proxy %s", p)
		}
	}
	if again, problems := reload(s); config.Fatal(problems) || equal(s, again) != "" {
		t.Errorf("does not read back:\n%s%s%s", s.YAML(), lines(problems), equal(s, again))
	}
}

func FuzzFile(f *testing.F) {
	for _, row := range settingRows {
		for value := range row.values {
			f.Add(production(nested(row.name, value)))
		}
	}
	f.Add(production(rule))
	f.Add("environment: development\nhosts: &a [a.example]\norigins: *a\n")
	f.Add("a: &a\n  b: *a\n? x\n: y\n<<: *a")
	f.Fuzz(func(t *testing.T, yaml string) {
		s, problems := load(yaml)
		sound(t, s, problems)
	})
}

func FuzzEnvironment(f *testing.F) {
	f.Add("MERLON_HOSTS", "a.example,b.example", "MERLON_LISTEN='127.0.0.1:1'")
	f.Add("MERLON_SECRET_KEY_FILE", "/x", "export A=\"b\n${A}$(x)\"\nMERLON_HOSTS=\"a\\n\"")
	f.Add("MERLON_RATE_LIMITS__RULES", "[]", "A: b #c")
	f.Add("MERLON_TOKENS__X", "1", "='")
	f.Add("MERLON_\xff", "\x00", "\"")
	f.Add("CREDENTIALS_DIRECTORY", "..", "A=\\")
	f.Fuzz(func(t *testing.T, name, value, dotenv string) {
		for _, environment := range []string{"development", "production"} {
			s, problems := loadFiles(files{".env": []byte(dotenv)}, "environment: "+environment, name+"="+value)
			sound(t, s, problems)
		}
	})
}

func FuzzLeakThroughSyntaxErrors(f *testing.F) {
	f.Add("secret_key: \"", "\n")
	f.Add("secret_key: [", "")
	f.Add("secret_key: ", ": x: ")
	f.Add("secret_key: !", " y")
	f.Add("secret_key: |", "\n x")
	f.Fuzz(func(t *testing.T, before, after string) {
		if !strings.HasPrefix(before, "secret_key: ") || strings.ContainsAny(before+after, "\n\r") {
			return // only what stands on the line of a secret
		}
		_, problems := load(before + "plover" + after)
		for _, p := range problems {
			// A brace makes it a key, and the names of keys are shown.
			if strings.Contains(p.String(), "plover") && !strings.ContainsAny(before+after, "{?:") {
				t.Errorf("%q: %s", before+"plover"+after, p)
			}
		}
	})
}
