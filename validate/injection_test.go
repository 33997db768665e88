package validate_test

import (
	"testing"

	"github.com/merlonhq/merlon/validate"
)

// What the detector says of honest text is what decides where it may refuse.
func TestSQLInjection(t *testing.T) {
	for _, s := range []string{
		"O'Brien", "D'Arcy O'Neil-Smith", "Tom & Jerry's", "Rock 'n' Roll", "L'amour n'a pas d'âge",
		"SELECT a book; -- really", "Union Square; select few", "drop me a line", "Select few; drop all",
		"How to use UNION SELECT in SQL", "SQL for everyone: SELECT, INSERT and DROP", "create table of contents",
		"1 < 2", "1 = 1", "Why 1=1 is true", "2 or 3 things", "1 and 2", "-1", "1-2-3", "100% wool", "C++ or C#?",
		"It's 5 or 6 o'clock", "Q&A: 'is it ok?'", "What's new? (2024)", "'quoted' and \"quoted\"", "a -- b", "/* aside */",
		"o'neil@example.com", "https://example.com/?a=1&b=2", "group by the fire", "having a ball", "",
	} {
		if fp, found := validate.SQLInjection(s); found {
			t.Errorf("%q is found (%s)", s, fp)
		}
	}
	for _, s := range []string{
		"' or '1'='1", "' OR 1=1 --", "admin'--", "1 or 1=1", "1; DROP TABLE users", "Robert'); DROP TABLE students;--",
		"' UNION SELECT password FROM users--", "x' AND 1=0 UNION ALL SELECT 1,2", "1) or (1=1", "'; exec xp_cmdshell('dir')--",
		"1 or sleep(5)", "\"; drop table posts; --",
	} {
		if fp, found := validate.SQLInjection(s); !found || fp == "" || len(fp) > 8 {
			t.Errorf("%q: %v, fingerprint %q", s, found, fp)
		}
	}
	// Known and documented: honest text that looks exactly like an attack.
	for _, s := range []string{"select * from users where id = 1", "sleep(5)", "Jack' or 'Jill"} {
		if _, found := validate.SQLInjection(s); !found {
			t.Errorf("%q is no longer found: the documentation says it is", s)
		}
	}
}

func TestScriptInjection(t *testing.T) {
	for _, s := range []string{"O'Brien", "1 < 2", "a <- b", "I <3 you", "on error = resume", "SELECT a book; -- really", "javascript is a language", "x = \"y\""} {
		if validate.ScriptInjection(s) {
			t.Errorf("%q is found", s)
		}
	}
	for _, s := range []string{"<script>alert(1)</script>", "\" onfocus=alert(1) x=\"", "' onmouseover='alert(1)", "<img src=x onerror=alert(1)>"} {
		if !validate.ScriptInjection(s) {
			t.Errorf("%q is not found", s)
		}
	}
}

func BenchmarkSQLInjection(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		validate.SQLInjection("How to use UNION SELECT in SQL, by O'Brien")
	}
}
