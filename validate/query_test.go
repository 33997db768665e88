package validate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/validate"
)

type listing struct {
	Limit  int64                        `query:"limit" default:"20" minimum:"1" maximum:"100" doc:"How many items."`
	Cursor string                       `query:"cursor" text:"token" maxLength:"20"`
	Sort   string                       `query:"sort" enum:"asc,desc" default:"asc"`
	Since  validate.Optional[time.Time] `query:"since"`
	Drafts validate.Optional[bool]      `query:"drafts"`
}

func TestQuery(t *testing.T) {
	q, err := validate.CompileQuery[listing]()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", "ok"},
		{"everything", "limit=100&cursor=abc&sort=desc&since=2026-01-02T03:04:05Z&drafts=true", "ok"},
		{"percent-encoded", "since=2026-01-02T03%3A04%3A05%2B02%3A00", "ok"},
		{"the least", "limit=1", "ok"},
		{"too little", "limit=0", "/limit minimum"},
		{"too much", "limit=101", "/limit maximum"},
		{"no number", "limit=ten", "/limit type"},
		{"a plus", "limit=%2B5", "/limit type"},
		{"an empty number", "limit=", "/limit type"},
		{"a number that overflows", "limit=99999999999999999999", "/limit type"},
		{"unknown", "page=2", "/page unknown-parameter"},
		{"unknown, by case", "Limit=2", "/Limit unknown-parameter"},
		{"twice", "limit=2&limit=3", "/limit duplicate"},
		{"twice, once encoded", "limit=2&%6cimit=2", "/limit duplicate"},
		{"not one of", "sort=up", "/sort enum"},
		{"no time", "since=yesterday", "/since format"},
		{"no flag", "drafts=1", "/drafts type"},
		{"all at once", "limit=0&sort=up&x=1", "/limit minimum; /sort enum; /x unknown-parameter"},
		{"a blank in a token", "cursor=a%20b", "/cursor pattern"},
		{"a bad escape", "limit=%zz", " query"},
		{"bytes that are not UTF-8", "cursor=%ff", " query"},
		{"NUL", "cursor=a%00", " query"},
		{"semicolons", "limit=1;sort=asc", " query"},
		{"too long", "cursor=" + strings.Repeat("a", 9000), " query"},
	} {
		_, rep := q.Decode(tt.in)
		if got := summary(rep); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	v, _ := q.Decode("cursor=abc&since=2026-01-02T03:04:05%2B01:00")
	want := listing{Limit: 20, Cursor: "abc", Sort: "asc", Since: validate.Optional[time.Time]{Set: true, Value: time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC)}}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

func TestQueryParameters(t *testing.T) {
	q, err := validate.CompileQuery[listing]()
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(q.Parameters())
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"name":"limit","in":"query","description":"How many items.","schema":{"type":"integer","format":"int64","minimum":1,"maximum":100,"default":20}},` +
		`{"name":"cursor","in":"query","schema":{"type":"string","format":"token","maxLength":20}},` +
		`{"name":"sort","in":"query","schema":{"type":"string","enum":["asc","desc"],"default":"asc"}},` +
		`{"name":"since","in":"query","schema":{"type":"string","format":"date-time","maxLength":64}},` +
		`{"name":"drafts","in":"query","schema":{"type":"boolean"}}]`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestCompileQueryReportsErrors(t *testing.T) {
	type bad struct {
		Limit int64    `query:"limit" default:"500" maximum:"100"`
		List  []string `query:"list" maxItems:"3" maxLength:"3"`
		Both  string   `query:"both" default:"x" required:"true" maxLength:"3"`
	}
	_, err := validate.CompileQuery[bad]()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`Limit: default "500"`, `List: []string`, `Both: a parameter with a default`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("limit=100&cursor=abc&sort=desc&since=2026-01-02T03:04:05Z&drafts=true")
	f.Add("limit=%zz;&&=")
	q, err := validate.CompileQuery[listing]()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if v, rep := q.Decode(raw); rep.OK() && (v.Limit < 1 || v.Limit > 100 || v.Sort != "asc" && v.Sort != "desc") {
			t.Errorf("%q gives %+v", raw, v)
		}
	})
}
