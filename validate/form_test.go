package validate_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/validate"
)

type formed struct {
	Name  string                    `json:"name" text:"identifier" minLength:"2" maxLength:"10"`
	Count validate.Optional[int]    `json:"count" minimum:"1" maximum:"9"`
	Note  validate.Optional[string] `json:"note" text:"line" maxLength:"20"`
	Kind  string                    `json:"kind" enum:"a,b"`
}

func (f *formed) Check(r *validate.Report) {
	if f.Name == "nobody" {
		r.Add("/name", "reserved", "Taken.")
	}
}

func TestAFormIsReadByTheRulesOfTheObject(t *testing.T) {
	schema, err := validate.CompileForm[formed]()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		form, json string   // of which the form says the same
		want       []string // the problems, "pointer code"
	}{
		"all of it":                {"name=Ada&count=3&note=hello+world%21&kind=a", `{"name":"Ada","count":3,"note":"hello world!","kind":"a"}`, nil},
		"the least of it":          {"name=ada&kind=b", `{"name":"ada","kind":"b"}`, nil},
		"another order":            {"kind=b&name=ada", `{"kind":"b","name":"ada"}`, nil},
		"an empty value":           {"name=&kind=a", `{"name":"","kind":"a"}`, []string{"/name too-short"}},
		"no value at all":          {"name&kind=a", `{"name":"","kind":"a"}`, []string{"/name too-short"}},
		"a member that is missing": {"name=ada", `{"name":"ada"}`, []string{"/kind required"}},
		"nothing":                  {"", `{}`, []string{"/name required", "/kind required"}},
		"a member that is unknown": {"name=ada&kind=a&x=1", `{"name":"ada","kind":"a","x":1}`, []string{"/x unknown-member"}},
		"a name in capitals":       {"Name=ada&name=ada&kind=a", `{"Name":"ada","name":"ada","kind":"a"}`, []string{"/Name unknown-member"}},
		"a member twice":           {"name=ada&kind=a&kind=b", `{"name":"ada","kind":"a","kind":"b"}`, []string{"/kind duplicate"}},
		"a member twice, encoded":  {"name=ada&kind=a&%6bind=b", `{"name":"ada","kind":"a","\u006bind":"b"}`, []string{"/kind duplicate"}},
		"no choice":                {"name=ada&kind=c", `{"name":"ada","kind":"c"}`, []string{"/kind enum"}},
		"a number out of range":    {"name=ada&kind=a&count=10", `{"name":"ada","kind":"a","count":10}`, []string{"/count maximum"}},
		"too long":                 {"name=adaadaadaadaada&kind=a", `{"name":"adaadaadaadaada","kind":"a"}`, []string{"/name too-long"}},
		"a control character":      {"name=a%01da&kind=a", `{"name":"a\u0001da","kind":"a"}`, []string{"/name control-character"}},
		"SQL":                      {"name=ada&kind=a&note=1%27+OR+%271%27%3D%271", `{"name":"ada","kind":"a","note":"1' OR '1'='1"}`, []string{"/note suspicious-content"}},
		"what the type says":       {"name=nobody&kind=a", `{"name":"nobody","kind":"a"}`, []string{"/name reserved"}},
		"a bad escape":             {"name=%zz&kind=a", "", []string{" form"}},
		"bytes that are no UTF-8":  {"name=%ff&kind=a", "", []string{" form"}},
		"a NUL":                    {"name=a%00&kind=a", "", []string{" form"}},
		"a semicolon":              {"name=ada;kind=a", "", []string{" form"}},
		"JSON":                     {`{"name":"ada"}`, "", []string{`/{"name":"ada"} unknown-member`, "/name required", "/kind required"}},
		"more than 8 KiB":          {"name=ada&kind=a&note=" + strings.Repeat("x", 8<<10), "", []string{" form"}},
	} {
		codes := func(rep *validate.Report) (out []string) {
			for _, p := range rep.Problems {
				out = append(out, p.Pointer+" "+p.Code)
			}
			slices.Sort(out)
			return out
		}
		slices.Sort(tt.want)
		v, rep := schema.DecodeForm(tt.form)
		if got := codes(rep); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if tt.json == "" {
			continue
		}
		same, rep := schema.Decode([]byte(tt.json))
		if got := codes(rep); !slices.Equal(got, tt.want) || fmt.Sprint(v) != fmt.Sprint(same) {
			t.Errorf("%s: as JSON %q and %+v, as a form %q and %+v", name, got, same, tt.want, v)
		}
	}
}

func TestTheContentTypeSaysWhatABodyIs(t *testing.T) {
	schema, err := validate.CompileForm[formed]()
	if err != nil {
		t.Fatal(err)
	}
	const form, json = "name=ada&kind=a", `{"name":"ada","kind":"a"}`
	for _, tt := range []struct {
		media, body string
		ok          bool
	}{
		{"application/x-www-form-urlencoded", form, true},
		{"Application/X-WWW-Form-URLencoded; charset=utf-8", form, true},
		{"application/x-www-form-urlencoded", json, false},
		{"application/json", json, true},
		{"application/json", form, false},
		{"", json, true},
		{"", form, false},
	} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
		r.Header.Set("Content-Type", tt.media)
		exchange.New(exchange.Config{Recorder: audit.Discard{}}).Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			x := exchange.FromContext(r.Context())
			x.Body = []byte(tt.body)
			v, p := schema.ReadForm(x)
			if (p == nil) != tt.ok || tt.ok && v.Name != "ada" {
				t.Errorf("%s of %q: %+v, %v", tt.body, tt.media, v, p)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
	}
}

func TestWhatNoFormCanSayIsAnError(t *testing.T) {
	type nested struct {
		Tags []string `json:"tags" maxItems:"2" maxLength:"5"`
	}
	if _, err := validate.CompileForm[nested](); err == nil || !strings.Contains(err.Error(), "tags") {
		t.Errorf("a list: %v", err)
	}
	if _, err := validate.CompileForm[struct{ X string }](); err == nil {
		t.Error("what no schema takes is taken")
	}
}

func FuzzDecodeForm(f *testing.F) {
	schema, err := validate.CompileForm[formed]()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("name=ada&kind=a&count=1&note=x")
	f.Add("name=%41&&=&kind")
	f.Add("name=%")
	f.Fuzz(func(t *testing.T, text string) {
		v, rep := schema.DecodeForm(text)
		if rep.OK() != (v.Name != "") || rep.OK() && v.Kind != "a" && v.Kind != "b" {
			t.Errorf("%q: %+v, %v", text, v, rep.Problems)
		}
	})
}
