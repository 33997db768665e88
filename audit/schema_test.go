package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/merlonhq/merlon/audit"
)

// A schema is what docs/event.schema.json uses of JSON Schema 2020-12.
type schema struct {
	Schema      string `json:"$schema"`
	ID          string `json:"$id"`
	Title       string
	Description string
	Type        string
	Required    []string
	Additional  *bool `json:"additionalProperties"`
	Properties  map[string]*schema
	Enum        []any
	Const       any
	Pattern     string
	MaxLength   *int
	Minimum     *float64
}

func readSchema(t testing.TB) *schema {
	t.Helper()
	text, err := os.ReadFile("../docs/event.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a keyword that is not checked here would hold nothing
	s := &schema{}
	if err := d.Decode(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *schema) check(at string, v any) (wrong []string) {
	bad := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	kinds := map[string]func(any) bool{
		"object":  func(v any) bool { _, ok := v.(map[string]any); return ok },
		"string":  func(v any) bool { _, ok := v.(string); return ok },
		"integer": func(v any) bool { f, ok := v.(float64); return ok && f == float64(int64(f)) },
	}
	if s.Type != "" && (kinds[s.Type] == nil || !kinds[s.Type](v)) {
		bad("%v is no %s", v, s.Type)
		return wrong
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) || s.Const != nil && s.Const != v {
		bad("%v is not one of the values", v)
	}
	if text, ok := v.(string); ok {
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(text) || s.MaxLength != nil && utf8.RuneCountInString(text) > *s.MaxLength {
			bad("%.100q does not match or is too long", text)
		}
	}
	if n, ok := v.(float64); ok && s.Minimum != nil && n < *s.Minimum {
		bad("%v is too small", n)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return wrong
	}
	for _, name := range s.Required {
		if _, ok := object[name]; !ok {
			bad("%s is missing", name)
		}
	}
	for name, value := range object {
		switch p := s.Properties[name]; {
		case p != nil:
			wrong = append(wrong, p.check(at+"/"+name, value)...)
		case s.Additional != nil && !*s.Additional:
			bad("%s is unknown", name)
		}
	}
	return wrong
}

// checkLine reports what is wrong with a line by the schema, and by what a reader of
// lines relies on: one line of printable characters.
func (s *schema) checkLine(t testing.TB, line []byte) {
	t.Helper()
	var v any
	if err := json.Unmarshal(line, &v); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	for _, w := range s.check("", v) {
		t.Errorf("%s in %.300q", w, line)
	}
	if !utf8.Valid(line) || bytes.ContainsFunc(line, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r == '\u202e'
	}) {
		t.Errorf("not printable: %q", line)
	}
}

func TestTheSchemaHoldsEveryLine(t *testing.T) {
	s := readSchema(t)
	if s.Schema != "https://json-schema.org/draft/2020-12/schema" || s.ID != "urn:merlon:schema:event:1" {
		t.Errorf("%q %q: another version is another schema", s.Schema, s.ID)
	}
	path := filepath.Join(t.TempDir(), "security.log")
	f := chained(t, path)
	put(t, f, 3)
	batch := []audit.Event{typical()}
	batch[0].Host = "api.example.com:8443"
	if err := f.Write(t.Context(), batch, [][]byte{audit.AppendJSON(nil, batch[0])}); err != nil {
		t.Fatal(err)
	}
	shutdown(t, f)
	seen := map[string]bool{}
	for line := range strings.Lines(contents(t, path)) {
		s.checkLine(t, []byte(strings.TrimSuffix(line, "\n")))
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		for name := range m {
			seen[name] = true
		}
	}
	// What the schema has, lines have.
	for name := range s.Properties {
		if !seen[name] && name != "detail_omitted" {
			t.Errorf("no line has %s", name)
		}
	}
	// The check can fail.
	for _, line := range []string{
		`{}`,
		strings.Replace(string(audit.AppendJSON(nil, typical())), `"severity":"`, `"severity":"very `, 1),
		strings.Replace(string(audit.AppendJSON(nil, typical())), `"time":"`, `"time":"about `, 1),
		strings.Replace(string(audit.AppendJSON(nil, typical())), `"appid"`, `"app"`, 1),
	} {
		var v any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if len(s.check("", v)) == 0 {
			t.Errorf("the schema lets pass %.100s", line)
		}
	}
}

// Any bytes in any field that comes from a request give one valid line of the schema.
func FuzzAnyRequestGivesOneLineOfTheSchema(f *testing.F) {
	s := readSchema(f)
	huge := strings.Repeat("A", 1<<20)
	for _, text := range []string{"", "plain", "\r\n{\"id\":\"evt_forged\"}", "\x1b[2J\x1b]0;owned\a", "\"},{\"", "\u2028\u2029\u202e\ufeff", "\xff\xfe\xc0\xaf", "a\x00b", "\\u0000", huge} {
		f.Add(text, text, text, text, text, text, text)
	}
	path := filepath.Join(f.TempDir(), "security.log")
	log := chained(f, path)
	f.Fuzz(func(t *testing.T, method, host, path2, agent, address, principal, detail string) {
		e := audit.Event{Type: audit.InputValidationFail, Method: method, Host: host, Path: path2, UserAgent: agent, Address: address,
			Principal: principal, RequestID: detail, Route: detail, Detail: []slog.Attr{slog.String("note", detail), slog.String(detail, agent), slog.Any("list", []string{detail, host})}}
		line := audit.AppendJSON(nil, e)
		s.checkLine(t, line)
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		if err := log.Write(t.Context(), []audit.Event{e}, [][]byte{line}); err != nil {
			t.Fatal(err)
		}
		got, _ := strings.CutSuffix(contents(t, path), "\n")
		if strings.Contains(got, "\n") { // a checkpoint stands before it now and then
			got = got[strings.LastIndexByte(got, '\n')+1:]
		}
		s.checkLine(t, []byte(got))
	})
}
