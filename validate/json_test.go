package validate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/validate"
)

// verdict is "ok", "malformed", or the pointers and codes of a ContentError.
func verdict(err error) string {
	var syntax *validate.SyntaxError
	var content *validate.ContentError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &syntax):
		return "malformed"
	case errors.As(err, &content):
		var b []string
		for _, p := range content.Problems {
			b = append(b, p.Pointer+" "+p.Code)
		}
		return strings.Join(b, "; ")
	}
	return "unknown error"
}

var jsonTests = []struct{ name, in, want string }{
	{"an object", `{"a": [1, -2.5e+3, true, false, null, "x"]}`, "ok"},
	{"a scalar", ` "x" `, "ok"},
	{"nothing", ``, "malformed"},
	{"blanks", ` `, "malformed"},
	{"two texts", `{} {}`, "malformed"},
	{"a trailing comma", `{"a":1,}`, "malformed"},
	{"a comment", `{"a":1/**/}`, "malformed"},
	{"single quotes", `{'a':1}`, "malformed"},
	{"NaN", `NaN`, "malformed"},
	{"a leading zero", `01`, "malformed"},
	{"a lone zero", `-0`, "ok"},
	{"no digit behind the point", `1.`, "malformed"},
	{"a number no type holds", `1e999999`, "ok"},
	{"a byte order mark", "\ufeff{}", "malformed"},
	{"bytes that are not UTF-8", "\"\xff\"", "malformed"},
	{"an encoded surrogate", "\"\xed\xa0\x80\"", "malformed"},
	{"an overlong slash", "\"\xc0\xaf\"", "malformed"},
	{"half a surrogate pair", `"\ud83d"`, "malformed"},
	{"the other half alone", `"\ude00"`, "malformed"},
	{"two first halves", `"\ud83d\ud83d"`, "malformed"},
	{"a surrogate pair", `"\ud83d\ude00"`, "ok"},
	{"a raw NUL", "\"\x00\"", "malformed"},
	{"a raw NUL between tokens", "{\x00}", "malformed"},
	{"a raw newline", "\"a\nb\"", "malformed"},
	{"an escaped NUL", `{"a":["\u0000"]}`, "/a/0 control-character"},
	{"an escaped NUL in a name", `{"x":{"\u0000":1}}`, "/x control-character"},
	{"another escaped control", `"\u0001"`, "ok"},
	{"a duplicate member", `{"a":1,"b":2,"a":3}`, "/a duplicate"},
	{"a duplicate in another writing", `{"a/b":1,"\u0061\/b":2}`, "/a~1b duplicate"},
	{"a duplicate, the plain one last", `{"\u0061":1,"a":2}`, "/a duplicate"},
	{"duplicates deep down", `{"l":[{"a":1},{"a":1,"a":1}],"m":{"b":1,"b":2}}`, "/l/1/a duplicate; /m/b duplicate"},
	{"the same name in two objects", `{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}`, "ok"},
	{"names that differ in case", `{"a":1,"A":2}`, "ok"},
	{"as deep as allowed", strings.Repeat("[", 32) + strings.Repeat("]", 32), "ok"},
	{"deeper", strings.Repeat("[", 33) + strings.Repeat("]", 33), strings.Repeat("/0", 32) + " too-deep"},
	{"as many as allowed", "[" + strings.Repeat("0,", 9999) + "0]", "ok"},
	{"more", "[" + strings.Repeat("0,", 10000) + "0]", "/10000 too-many-members"},
}

func TestCheckJSON(t *testing.T) {
	for _, tt := range jsonTests {
		if got := verdict(validate.CheckJSON([]byte(tt.in), validate.Limits{})); got != tt.want {
			t.Errorf("%s: %.80q is %s, want %s", tt.name, tt.in, got, tt.want)
		}
	}
}

func TestCheckJSONFindsDuplicatesAmongMany(t *testing.T) {
	for _, n := range []int{20, 24, 25, 26, 5000} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":{"k1":0},`, i)
		}
		if got := verdict(validate.CheckJSON([]byte("{"+b.String()+`"end":1}`), validate.Limits{MaxMembers: 20_000})); got != "ok" {
			t.Errorf("%d members: %s", n, got)
		}
		if got := verdict(validate.CheckJSON([]byte("{"+b.String()+`"k7":1}`), validate.Limits{MaxMembers: 20_000})); got != "/k7 duplicate" {
			t.Errorf("%d members and a duplicate: %s", n, got)
		}
	}
}

func TestCheckJSONLimits(t *testing.T) {
	for _, tt := range []struct {
		in     string
		limits validate.Limits
		want   string
	}{
		{`[[1]]`, validate.Limits{MaxDepth: 2}, "ok"},
		{`[[[1]]]`, validate.Limits{MaxDepth: 2}, "/0/0 too-deep"},
		{`{"a":[1]}`, validate.Limits{MaxMembers: 2}, "ok"},
		{`{"a":[1,2]}`, validate.Limits{MaxMembers: 2}, "/a/1 too-many-members"},
		{`{"a":"xyz"}`, validate.Limits{MaxStringBytes: 3}, "ok"},
		{`{"a":"wxyz"}`, validate.Limits{MaxStringBytes: 3}, "/a too-long"},
		{strings.Repeat("[", 5000) + strings.Repeat("]", 5000), validate.Limits{MaxDepth: 1 << 30}, ""},
	} {
		got := verdict(validate.CheckJSON([]byte(tt.in), tt.limits))
		if tt.want == "" && strings.HasSuffix(got, " too-deep") {
			continue
		}
		if got != tt.want {
			t.Errorf("%.40s: %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestPointersAreBoundedAndPrintable(t *testing.T) {
	name := strings.Repeat("n", 5000)
	err := validate.CheckJSON([]byte(`{"`+name+`":{"\u001b[31m\u202e":["\u0000"]}}`), validate.Limits{})
	if got, want := verdict(err), "/"+strings.Repeat("n", 64)+"…/\ufffd[31m\ufffd/0 control-character"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	deep := strings.Repeat(`{"`+name[:100]+`":`, 32) + `"\u0000"` + strings.Repeat("}", 32)
	if got := verdict(validate.CheckJSON([]byte(deep), validate.Limits{})); len(got) > 1000 {
		t.Errorf("%d bytes of pointer", len(got))
	}
}

func TestCheckJSONDoesNotAllocateOnSmallTexts(t *testing.T) {
	in := []byte(`{"username":"alice","email":"alice@example.com","tags":["a","b"],"n":{"x":1,"y":[true,null]}}`)
	if n := testing.AllocsPerRun(100, func() {
		if err := validate.CheckJSON(in, validate.Limits{}); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// JSONTestSuite: y_ must be accepted, n_ refused; what is left open is decided here.
func TestJSONTestSuite(t *testing.T) {
	dir := os.Getenv("VECTORS_DIR")
	if dir == "" {
		t.Skip("VECTORS_DIR is not set")
	}
	files, err := filepath.Glob(filepath.Join(dir, "jsontest", "test_parsing", "*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	// The suite leaves duplicates to the parser; RFC 7493 section 2.3 does not.
	rules := map[string]string{
		"y_object_duplicated_key.json":                        "/a duplicate",
		"y_object_duplicated_key_and_value.json":              "/a duplicate",
		"y_object_escaped_null_in_key.json":                   " control-character",
		"y_string_null_escape.json":                           "/0 control-character",
		"i_structure_500_nested_arrays.json":                  strings.Repeat("/0", 32) + " too-deep",
		"i_number_double_huge_neg_exp.json":                   "ok",
		"i_number_huge_exp.json":                              "ok",
		"i_number_neg_int_huge_exp.json":                      "ok",
		"i_number_pos_double_huge_exp.json":                   "ok",
		"i_number_real_neg_overflow.json":                     "ok",
		"i_number_real_pos_overflow.json":                     "ok",
		"i_number_real_underflow.json":                        "ok",
		"i_number_too_big_neg_int.json":                       "ok",
		"i_number_too_big_pos_int.json":                       "ok",
		"i_number_very_big_negative_int.json":                 "ok",
		"i_object_key_lone_2nd_surrogate.json":                "malformed",
		"i_string_1st_surrogate_but_2nd_missing.json":         "malformed",
		"i_string_1st_valid_surrogate_2nd_invalid.json":       "malformed",
		"i_string_incomplete_surrogate_and_escape_valid.json": "malformed",
		"i_string_incomplete_surrogate_pair.json":             "malformed",
		"i_string_incomplete_surrogates_escape_valid.json":    "malformed",
		"i_string_invalid_lonely_surrogate.json":              "malformed",
		"i_string_invalid_surrogate.json":                     "malformed",
		"i_string_invalid_utf-8.json":                         "malformed",
		"i_string_inverted_surrogates_U+1D11E.json":           "malformed",
		"i_string_iso_latin_1.json":                           "malformed",
		"i_string_lone_second_surrogate.json":                 "malformed",
		"i_string_lone_utf8_continuation_byte.json":           "malformed",
		"i_string_not_in_unicode_range.json":                  "malformed",
		"i_string_overlong_sequence_2_bytes.json":             "malformed",
		"i_string_overlong_sequence_6_bytes.json":             "malformed",
		"i_string_overlong_sequence_6_bytes_null.json":        "malformed",
		"i_string_truncated-utf-8.json":                       "malformed",
		"i_string_UTF-16LE_with_BOM.json":                     "malformed",
		"i_string_UTF-8_invalid_sequence.json":                "malformed",
		"i_string_utf16BE_no_BOM.json":                        "malformed",
		"i_string_utf16LE_no_BOM.json":                        "malformed",
		"i_string_UTF8_surrogate_U+D800.json":                 "malformed",
		"i_structure_UTF-8_BOM_empty_object.json":             "malformed",
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		got := verdict(validate.CheckJSON(data, validate.Limits{}))
		want, ruled := rules[name]
		switch {
		case ruled:
			if got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		case name[0] == 'y':
			if got != "ok" {
				t.Errorf("%s: %s", name, got)
			}
		case name[0] == 'n':
			if got == "ok" {
				t.Errorf("%s: accepted", name)
			}
		default:
			t.Errorf("%s: not decided (it is %s)", name, got)
		}
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, tt := range jsonTests {
		if len(tt.in) < 1000 {
			f.Add([]byte(tt.in))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := string(data)
		got := verdict(validate.CheckJSON(data, validate.Limits{}))
		if string(data) != before {
			t.Fatal("the text was changed")
		}
		switch valid := json.Valid(data); {
		case got != "malformed" && !strings.Contains(got, "too-") && !valid:
			t.Errorf("%q is %s, and is not JSON to encoding/json", data, got)
		case got == "malformed" && valid:
			// encoding/json lets bad UTF-8 and lone surrogates pass, as U+FFFD.
			var v any
			if json.Unmarshal(data, &v) == nil && !strings.Contains(fmt.Sprint(v), "\ufffd") {
				t.Errorf("%q is malformed, and is JSON to encoding/json", data)
			}
		}
	})
}

func TestCutMember(t *testing.T) {
	for _, tt := range []struct{ name, in, value, rest string }{
		{"the first of two", `{"csrf_token":"x", "a":1}`, "x", `{"a":1}`},
		{"the last of two", `{"a":"q" , "csrf_token" : "x"}`, "x", `{"a":"q"}`},
		{"in the middle", `{"a":[1],"csrf_token":"x","b":{}}`, "x", `{"a":[1],"b":{}}`},
		{"alone", ` { "csrf_token":"x" } `, "x", ` {  } `},
		{"escaped", `{"\u0063srf_token":"\u0078\n"}`, "x\n", `{}`},
		{"empty", `{"csrf_token":""}`, "", `{}`},
	} {
		value, rest, found, err := validate.CutMember([]byte(tt.in), "csrf_token", validate.Limits{})
		if err != nil || !found || value != tt.value || string(rest) != tt.rest {
			t.Errorf("%s: %q, %s, %v, %v", tt.name, value, rest, found, err)
		}
	}
	for _, tt := range []struct{ name, in, want string }{
		{"an empty object", `{}`, "ok"},
		{"another member", `{"csrf_Token":"x"}`, "ok"},
		{"deeper down", `{"a":{"csrf_token":"x"}}`, "ok"},
		{"a list", `["csrf_token","x"]`, "ok"},
		{"a number", `{"csrf_token":1}`, "/csrf_token type"},
		{"twice", `{"csrf_token":"x","csrf_token":"y"}`, "/csrf_token duplicate"},
		{"malformed behind it", `{"csrf_token":"x"`, "malformed"},
	} {
		_, rest, found, err := validate.CutMember([]byte(tt.in), "csrf_token", validate.Limits{})
		if found || string(rest) != tt.in || verdict(err) != tt.want {
			t.Errorf("%s: %s, %v, %s, want %s", tt.name, rest, found, verdict(err), tt.want)
		}
	}
}

func FuzzCutMember(f *testing.F) {
	f.Add([]byte(`{"a":[1],"csrf_token":"x","b":{}}`))
	f.Add([]byte(`{"a":"q" , "csrf_token" : "x"}`))
	f.Add([]byte(`{"csrf_token":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		value, rest, found, err := validate.CutMember(data, "csrf_token", validate.Limits{})
		if !found || err != nil {
			return
		}
		var with, without map[string]json.RawMessage
		if err := json.Unmarshal(data, &with); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(rest, &without); err != nil {
			t.Fatalf("%q left %q: %v", data, rest, err)
		}
		var want string
		if json.Unmarshal(with["csrf_token"], &want) != nil || want != value {
			t.Errorf("%q: value %q, want %q", data, value, want)
		}
		delete(with, "csrf_token")
		if fmt.Sprint(with) != fmt.Sprint(without) {
			t.Errorf("%q left %q", data, rest)
		}
	})
}

func BenchmarkCheckJSON(b *testing.B) {
	in := []byte(`{"title":"A title","content":"` + strings.Repeat("Some words. ", 80) + `","tags":["a","b"],"is_draft":false}`)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		_ = validate.CheckJSON(in, validate.Limits{})
	}
}
