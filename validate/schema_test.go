package validate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlonhq/merlon/validate"
)

type signUp struct {
	Username string                    `json:"username" text:"identifier" minLength:"3" maxLength:"50" pattern:"[a-z0-9][a-z0-9_.-]{2,49}" doc:"The name to log in with." example:"alice"`
	Email    string                    `json:"email" format:"email" example:"alice@example.com"`
	Password string                    `json:"password" text:"secret" minLength:"8" maxLength:"128"`
	FullName validate.Optional[string] `json:"full_name" maxLength:"100"`
	Bio      validate.Optional[string] `json:"bio" text:"prose" maxLength:"500"`
	Website  validate.Optional[string] `json:"website" format:"uri"`
}

func (s *signUp) Check(r *validate.Report) {
	if s.Username == "admin" {
		r.Add("/username", "reserved", "This name is reserved.")
	}
	if strings.Count(s.Bio.Value, "://") > 3 {
		r.Add("/bio", "too-many-links", "Must have at most 3 links.")
	}
}

type post struct {
	Title   string   `json:"title" minLength:"1" maxLength:"200"`
	Content string   `json:"content" text:"rich" minLength:"10" maxLength:"65536"`
	Tags    []string `json:"tags" optional:"true" text:"identifier" pattern:"[a-z0-9 _-]{2,50}" maxLength:"50" maxItems:"10" uniqueItems:"drop"`
	Draft   bool     `json:"is_draft" optional:"true"`
}

type kinds struct {
	Int      int64                        `json:"int" minimum:"1" maximum:"100"`
	Small    validate.Optional[int32]     `json:"small"`
	Float    validate.Optional[float64]   `json:"float" minimum:"-1.5"`
	Time     validate.Optional[time.Time] `json:"time"`
	Enum     validate.Optional[string]    `json:"enum" enum:"red,green"`
	Token    validate.Optional[string]    `json:"token" text:"token" maxLength:"20"`
	UUID     validate.Optional[string]    `json:"uuid" format:"uuid"`
	Prefixes []string                     `json:"prefixes" optional:"true" format:"ip-prefix" maxItems:"3" minItems:"1" uniqueItems:"true"`
	Nested   validate.Optional[inner]     `json:"a/b"`
	List     []inner                      `json:"list" optional:"true" maxItems:"3"`
	embedded
}

type embedded struct {
	Extra string `json:"extra" optional:"true" maxLength:"5"`
}

type inner struct {
	X bool `json:"x"`
}

func (i inner) Check(r *validate.Report) {
	if i.X {
		r.Add("/x", "custom", "Must not be true.")
	}
}

func compile[T any](t testing.TB) *validate.Schema[T] {
	t.Helper()
	s, err := validate.Compile[T]()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// summary is "ok", or the problems sorted.
func summary(r *validate.Report) string {
	if r.Syntax != nil {
		return "malformed"
	}
	var b []string
	for _, p := range r.Problems {
		b = append(b, p.Pointer+" "+p.Code)
	}
	slices.Sort(b)
	if b == nil {
		return "ok"
	}
	return strings.Join(b, "; ")
}

func findings(r *validate.Report) string {
	var b []string
	for _, f := range r.Findings {
		b = append(b, f.Pointer+" "+f.Kind)
	}
	return strings.Join(b, "; ")
}

const (
	base = `"username":"alice","email":"alice@example.com","password":"correct horse"`
)

func TestSignUp(t *testing.T) {
	s := compile[signUp](t)
	for _, tt := range []struct{ name, in, want, findings string }{
		{"the least", `{` + base + `}`, "ok", ""},
		{"everything", `{` + base + `,"full_name":"A. O'Brien","bio":"1 < 2\nSELECT a book; -- really","website":"https://example.com/"}`, "ok", ""},
		{"null where it may be", `{` + base + `,"full_name":null,"bio":null,"website":null}`, "ok", ""},
		{"null where it may not", `{"username":null,"email":"a@example.com","password":"correct horse"}`, "/username type", ""},
		{"a list for an object", `[]`, " type", ""},
		{"malformed", `{`, "malformed", ""},
		{"nothing", ``, "malformed", ""},
		{"all problems at once", `{"username":"a","email":"x","password":1,"role":"admin","full_name":"a\u0007"}`,
			"/email format; /full_name control-character; /password type; /role unknown-member; /username too-short", ""},
		{"what is missing", `{}`, "/email required; /password required; /username required", ""},
		{"names in another case are other names", `{` + base + `,"EMAIL":"x"}`, "/EMAIL unknown-member", ""},
		{"a duplicate and others", `{"username":"alice","username":"al","email":"x","password":"correct horse"}`, "/email format; /username duplicate", ""},
		{"a reserved name, after lower-casing", `{"username":" ADMIN ","email":"a@example.com","password":"correct horse"}`, "/username reserved", ""},
		{"a name that is too long as sent", `{"username":"` + strings.Repeat(" ", 48) + `bob","email":"a@example.com","password":"correct horse"}`, "/username too-long", ""},
		{"a name that is too short when trimmed", `{"username":" a ","email":"a@example.com","password":"correct horse"}`, "/username too-short", ""},
		{"a letter whose lower case is ASCII stays another", `{"username":"\u212aate","email":"a@example.com","password":"correct horse"}`, "/username pattern", ""},
		{"markup in a name", `{"username":"<b>bob</b>","email":"a@example.com","password":"correct horse"}`, "/username suspicious-content", "/username markup"},
		{"SQL in a name", `{"username":"x' or '1'='1","email":"a@example.com","password":"correct horse"}`, "/username suspicious-content", "/username sql"},
		{"SQL on a line", `{` + base + `,"full_name":"Robert'); DROP TABLE students;--"}`, "/full_name suspicious-content", "/full_name sql"},
		{"SQL in prose", `{` + base + `,"bio":"Robert'); DROP TABLE students;--"}`, "ok", "/bio sql"},
		{"SQL in a secret", `{"username":"alice","email":"a@example.com","password":"' OR 1=1 --<script>"}`, "ok", ""},
		{"SQL hidden by markup", `{` + base + `,"full_name":"x' <i></i>o<b></b>r '1'='1"}`, "/full_name suspicious-content", "/full_name markup; /full_name sql"},
		{"a script on a line", `{` + base + `,"full_name":"Al<script>alert(1)</script>"}`, "ok", "/full_name script"},
		{"a script in prose", `{` + base + `,"bio":"<img src=x onerror=alert(1)>hi"}`, "ok", "/bio script"},
		{"a break out of an attribute", `{` + base + `,"bio":"\" onfocus=alert(1) autofocus x=\""}`, "ok", "/bio script"},
		{"eight code points are eight characters", `{"username":"alice","email":"a@example.com","password":"пароль€😀"}`, "ok", ""},
		{"seven code points are too few", `{"username":"alice","email":"a@example.com","password":"пароль😀"}`, "/password too-short", ""},
		{"128 code points", `{"username":"alice","email":"a@example.com","password":"` + strings.Repeat("€", 128) + `"}`, "ok", ""},
		{"129 code points", `{"username":"alice","email":"a@example.com","password":"` + strings.Repeat("€", 129) + `"}`, "/password too-long", ""},
		{"a NUL in a secret", `{"username":"alice","email":"a@example.com","password":"correct\u0000horse"}`, "/password control-character", ""},
		{"three links", `{` + base + `,"bio":"http://a http://b http://c"}`, "ok", ""},
		{"four links", `{` + base + `,"bio":"http://a http://b http://c https://d"}`, "/bio too-many-links", ""},
		{"a script for a website", `{` + base + `,"website":"javascript:alert(1)"}`, "/website format", ""},
		{"too deep", `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "/x" + strings.Repeat("/0", 31) + " too-deep", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, rep := s.Decode([]byte(tt.in))
			if got := summary(rep); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if got := findings(rep); got != tt.findings {
				t.Errorf("findings %q, want %q", got, tt.findings)
			}
			if !rep.OK() && v != (signUp{}) {
				t.Errorf("refused, and yet a value: %+v", v)
			}
			if rep.OK() != (rep.Problem() == nil) {
				t.Error("OK and Problem disagree")
			}
		})
	}
}

func TestSignUpValue(t *testing.T) {
	v, rep := compile[signUp](t).Decode([]byte(`{"username":" Alice.B ","email":"alice@example.com","password":"  as sent \n",
		"full_name":" O'Brien <b>jun.</b> ","bio":"a\r\n<i>b</i> &lt; c","website":null}`))
	if !rep.OK() {
		t.Fatal(summary(rep))
	}
	want := signUp{
		Username: "alice.b",
		Email:    "alice@example.com",
		Password: "  as sent \n",
		FullName: validate.Optional[string]{Set: true, Value: "O'Brien jun."},
		Bio:      validate.Optional[string]{Set: true, Value: "a\r\nb &lt; c"},
		Website:  validate.Optional[string]{Set: true, Null: true},
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

func TestPost(t *testing.T) {
	s := compile[post](t)
	v, rep := s.Decode([]byte(`{"title":"Rock 'n' Roll","content":"<p onclick=x>1 < 2 &amp; more</p>","tags":[" Go ","go","web dev"]}`))
	if !rep.OK() {
		t.Fatal(summary(rep))
	}
	want := post{Title: "Rock 'n' Roll", Content: "<p>1 &lt; 2 &amp; more</p>", Tags: []string{"go", "web dev"}}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	if got := findings(rep); got != "/content script" {
		t.Errorf("findings %q", got)
	}
	for _, tt := range []struct{ name, in, want string }{
		{"ten tags", `{"title":"a","content":"0123456789","tags":["aa","bb","cc","dd","ee","ff","gg","hh","ii","jj"]}`, "ok"},
		{"eleven tags, one of them twice", `{"title":"a","content":"0123456789","tags":["aa","aa","bb","cc","dd","ee","ff","gg","hh","ii","jj"]}`, "/tags too-many-items"},
		{"no tags", `{"title":"a","content":"0123456789","tags":[]}`, "ok"},
		{"bad tags, by place", `{"title":"a","content":"0123456789","tags":["aa","b","c!c",7]}`, "/tags/1 pattern; /tags/2 pattern; /tags/3 type"},
		{"content that is too short when cleaned", `{"title":"a","content":"<script>alert(1)</script>short"}`, "/content too-short"},
		{"content that is long enough only when serialised", `{"title":"a","content":"a&b&c&d"}`, "/content too-short"},
		{"a title of markup alone", `{"title":"<b></b>","content":"0123456789"}`, "/title too-short"},
		{"a title on two lines", `{"title":"a\nb","content":"0123456789"}`, "/title control-character"},
		{"content on two lines", `{"title":"a","content":"01234\n56789"}`, "ok"},
		{"null for a flag", `{"title":"a","content":"0123456789","is_draft":null}`, "/is_draft type"},
		{"text for a flag", `{"title":"a","content":"0123456789","is_draft":"true"}`, "/is_draft type"},
	} {
		_, rep := s.Decode([]byte(tt.in))
		if got := summary(rep); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestKinds(t *testing.T) {
	s := compile[kinds](t)
	for _, tt := range []struct{ in, want string }{
		{`"int":1`, "ok"},
		{`"int":100.0`, "ok"},
		{`"int":1e2`, "ok"},
		{`"int":0`, "/int minimum"},
		{`"int":101`, "/int maximum"},
		{`"int":1.5`, "/int type"},
		{`"int":"1"`, "/int type"},
		{`"int":9223372036854775808`, "/int type"},
		{`"int":1e999999`, "/int type"},
		{`"int":1,"small":2147483647`, "ok"},
		{`"int":1,"small":2147483648`, "/small type"},
		{`"int":1,"float":-1.5`, "ok"},
		{`"int":1,"float":-1.6`, "/float minimum"},
		{`"int":1,"float":1e999`, "/float type"},
		{`"int":1,"time":"2026-01-02T03:04:05.678+02:00"`, "ok"},
		{`"int":1,"time":"2026-01-02 03:04:05Z"`, "/time format"},
		{`"int":1,"time":"2026-01-02T3:04:05Z"`, "/time format"},
		{`"int":1,"time":"0000-01-01T00:00:00+01:00"`, "/time format"},
		{`"int":1,"time":1767323045`, "/time type"},
		{`"int":1,"enum":"red"`, "ok"},
		{`"int":1,"enum":"Red"`, "/enum enum"},
		{`"int":1,"token":"a-Z~"`, "ok"},
		{`"int":1,"token":"a b"`, "/token pattern"},
		{`"int":1,"token":"é"`, "/token pattern"},
		{`"int":1,"uuid":"0198c0de-0000-7000-8000-00000000000A"`, "ok"},
		{`"int":1,"uuid":"0198c0de000070008000000000000000"`, "/uuid format"},
		{`"int":1,"prefixes":["192.0.2.1","192.0.2.0/24","2001:db8::/32"]`, "ok"},
		{`"int":1,"prefixes":["192.0.2.0/33"]`, "/prefixes/0 format"},
		{`"int":1,"prefixes":["fe80::1%eth0"]`, "/prefixes/0 format"},
		{`"int":1,"prefixes":[]`, "/prefixes too-few-items"},
		{`"int":1,"prefixes":["192.0.2.1","192.0.2.1"]`, "/prefixes/1 duplicate-item"},
		{`"int":1,"a/b":{"x":false}`, "ok"},
		{`"int":1,"a/b":{"x":true,"y":1}`, "/a~1b/x custom; /a~1b/y unknown-member"},
		{`"int":1,"list":[{"x":false},{"x":true},{}]`, "/list/1/x custom; /list/2/x required"},
		{`"int":1,"list":[{},{},{},{}]`, "/list too-many-items"},
		{`"int":1,"list":{}`, "/list type"},
		{`"int":1,"extra":"abcde"`, "ok"},
		{`"int":1,"extra":"abcdef"`, "/extra too-long"},
	} {
		_, rep := s.Decode([]byte("{" + tt.in + "}"))
		if got := summary(rep); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.in, got, tt.want)
		}
	}
	v, _ := s.Decode([]byte(`{"int":7,"time":"2026-01-02T03:04:05.678+02:00"}`))
	if want := time.Date(2026, 1, 2, 1, 4, 5, 678e6, time.UTC); !v.Time.Value.Equal(want) || v.Time.Value.Location() != time.UTC {
		t.Errorf("time %v, want %v", v.Time.Value, want)
	}
}

func TestNoErrorHoldsAValue(t *testing.T) {
	const value = "s3cr3t-value"
	in := `{"username":"` + value + `!","email":"` + value + `","password":["` + value + `"],"full_name":"` + value + `\u0007","bio":{"` + "x" + `":"` + value + `"},"website":"` + value + `","x":"` + value + `"}`
	_, rep := compile[signUp](t).Decode([]byte(in))
	if len(rep.Problems) != 7 {
		t.Errorf("%d problems: %s", len(rep.Problems), summary(rep))
	}
	if body := rep.Problem().Body("id"); strings.Contains(string(body), value) || strings.Contains(fmt.Sprint(rep), value) {
		t.Errorf("the value is in %s", body)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, `,"u%d":1`, i)
	}
	_, rep := compile[signUp](t).Decode([]byte("{" + base + b.String() + "}"))
	if len(rep.Problems) != 50 {
		t.Errorf("%d problems", len(rep.Problems))
	}
}

func TestOptional(t *testing.T) {
	stored := "old"
	validate.Optional[string]{}.Apply(&stored)
	if stored != "old" {
		t.Errorf("absent changed it to %q", stored)
	}
	validate.Optional[string]{Set: true, Value: "new"}.Apply(&stored)
	if stored != "new" {
		t.Errorf("set left %q", stored)
	}
	validate.Optional[string]{Set: true, Null: true}.Apply(&stored)
	if stored != "" {
		t.Errorf("null left %q", stored)
	}
	if got := (validate.Optional[int]{Set: true, Null: true}).Or(7); got != 7 {
		t.Errorf("Or of null is %d", got)
	}
	if got := (validate.Optional[int]{Set: true}).Or(7); got != 0 {
		t.Errorf("Or of zero is %d", got)
	}
}

func TestAnOptionalThatMustNotBeNull(t *testing.T) {
	type change struct {
		Name validate.Optional[string] `json:"name" null:"false" maxLength:"20"`
		Bio  validate.Optional[string] `json:"bio" maxLength:"20"`
	}
	schema := compile[change](t)
	for _, tt := range []struct{ in, want string }{
		{`{}`, ""}, {`{"name":"Ada","bio":null}`, ""}, {`{"name":"","bio":""}`, ""}, {`{"name":null}`, "/name type"},
	} {
		got, rep := schema.Decode([]byte(tt.in))
		var found string
		for _, e := range rep.Problems {
			found += e.Pointer + " " + e.Code
		}
		if found != tt.want || got.Name.Null {
			t.Errorf("%s: %q, %+v; want %q", tt.in, found, got, tt.want)
		}
	}
	text := indented(t, schema.JSONSchema())
	if strings.Count(text, `"null"`) != 1 {
		t.Errorf("not one member may be null: %s", text)
	}
}

type badSchema struct {
	NoName    string
	NoMax     string            `json:"no_max"`
	NoItems   []string          `json:"no_items" maxLength:"5"`
	Number    string            `json:"number" maxLength:"many"`
	Pattern   string            `json:"pattern" maxLength:"5" pattern:"("`
	Format    string            `json:"format" format:"colour"`
	Text      string            `json:"text" text:"poem" maxLength:"5"`
	Upside    int64             `json:"upside" minimum:"5" maximum:"4"`
	Misplaced bool              `json:"misplaced" maxLength:"5"`
	Pointer   *string           `json:"pointer" maxLength:"5"`
	Map       map[string]string `json:"map"`
	Any       any               `json:"any"`
	Null      string            `json:"null" maxLength:"5" null:"false"`
	Self      []badSchema       `json:"self" maxItems:"2"`
}

func TestCompileReportsEveryError(t *testing.T) {
	_, err := validate.Compile[badSchema]()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`NoName: no name`, `NoMax: no maxLength`, `NoItems: no maxItems`, `Number: maxLength "many"`, `Pattern: pattern "("`,
		`Format: format "colour"`, `Text: text "poem"`, `Null: null "false"`, `Upside: minimum 5 is above maximum 4`, `Misplaced: the tag maxLength`,
		`Pointer: *string`, `Map: map[string]string`, `Any: interface {}`, `Self[]: validate_test.badSchema`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if _, err := validate.Compile[string](); err == nil {
		t.Error("a string is a schema")
	}
}

func TestHostileProseTakesBoundedTime(t *testing.T) {
	for _, unit := range []string{"'", "(", "/*", "--", "1 or ", "'a' or ", "select ", "`", "x=", "\" onx=", "<a ", "&#", "@", "1;", "#\n", "{", "a.b."} {
		in := strings.Repeat(unit, (16<<10)/len(unit))
		start := time.Now()
		validate.SQLInjection(in)
		validate.ScriptInjection(in)
		t.Logf("%-10q %v", unit, time.Since(start))
	}
}

func BenchmarkDecode(b *testing.B) {
	s := compile[signUp](b)
	in := []byte(`{` + base + `,"full_name":"A. O'Brien","bio":"1 < 2 and a few words more","website":"https://example.com/"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, rep := s.Decode(in); !rep.OK() {
			b.Fatal(summary(rep))
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"int":7,"time":"2026-01-02T03:04:05Z","prefixes":["192.0.2.1"],"list":[{"x":false}],"a/b":{"x":true}}`))
	f.Add([]byte(`{"int":7,"enum":"red","token":"x","uuid":"0198c0de-0000-7000-8000-00000000000a","extra":"<b>"}`))
	s := compile[kinds](f)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, rep := s.Decode(data)
		if (rep.Syntax == nil) != (verdict(validate.CheckJSON(data, validate.Limits{})) != "malformed") {
			t.Error("Decode and CheckJSON disagree about the syntax")
		}
	})
}

func ExampleSchema() {
	type Body struct {
		Name  string                    `json:"name" text:"identifier" minLength:"3" maxLength:"20"`
		Motto validate.Optional[string] `json:"motto" maxLength:"80"`
	}
	schema, err := validate.Compile[Body]()
	if err != nil {
		panic(err)
	}
	body, report := schema.Decode([]byte(`{"name": " Alice ", "motto": "1 < 2 <script>x</script>"}`))
	fmt.Printf("%q %q %v\n", body.Name, body.Motto.Value, report.Findings)

	_, report = schema.Decode([]byte(`{"name": "al", "role": "admin"}`))
	for _, p := range report.Problems {
		fmt.Println(p.Pointer, p.Code)
	}
	// Output:
	// "alice" "1 < 2" [{/motto script script-element}]
	// /name too-short
	// /role unknown-member
}
