package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/merlonhq/merlon/audit"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 120_456_789, time.FixedZone("", 3600))

func ExampleAppendJSON() {
	line := audit.AppendJSON(nil, audit.Event{
		ID: "evt_1", Time: time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC),
		Type: audit.AuthnLoginFail, Outcome: audit.Failure, RequestID: "req_1", Address: "192.0.2.7",
		Route: "POST /api/v1/auth/login", Method: "POST", Host: "api.example.com", Path: "/api/v1/auth/login",
		Detail: []slog.Attr{slog.String("reason", "wrong password\n")},
	})
	fmt.Println(strings.ReplaceAll(string(line), `,"`, ",\n \""))
	// Output:
	// {"id":"evt_1",
	//  "time":"2026-03-01T11:00:00.000000Z",
	//  "type":"authn_login_fail",
	//  "category":"authentication",
	//  "severity":"low",
	//  "outcome":"failure",
	//  "request_id":"req_1",
	//  "address":"192.0.2.7",
	//  "principal":"",
	//  "route":"POST /api/v1/auth/login",
	//  "detail":{"reason":"wrong password\u000a"},
	//  "appid":"merlon",
	//  "description":"A login failed.",
	//  "hostname":"api.example.com",
	//  "request_method":"POST",
	//  "request_uri":"/api/v1/auth/login"}
}

func TestLineHasEveryMemberOfTheContract(t *testing.T) {
	got := string(audit.AppendJSON([]byte("before "), audit.Event{
		ID: "evt_1", Time: noon, Type: "authn_login_fail", Outcome: "failure", RequestID: "r1",
		Address: "192.0.2.7", Principal: "usr_1", Route: "GET /x/{id}",
		Method: "GET", Host: "api.example.com:8443", Path: "/x/7", UserAgent: "curl/8", Description: "It failed.",
	}))
	want := `before {"id":"evt_1","time":"2026-03-01T11:00:00.120456Z","type":"authn_login_fail","category":"authentication",` +
		`"severity":"low","outcome":"failure","request_id":"r1","address":"192.0.2.7","principal":"usr_1","route":"GET /x/{id}",` +
		`"detail":{},"appid":"merlon","description":"It failed.","hostname":"api.example.com","port":"8443",` +
		`"request_method":"GET","request_uri":"/x/7","useragent":"curl/8"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Outside a request the members of the contract are there, and the others are not.
	got = string(audit.AppendJSON(nil, audit.Event{Type: "sys_made_up"}))
	want = `{"id":"","time":"0001-01-01T00:00:00.000000Z","type":"sys_made_up","category":"system","severity":"info",` +
		`"outcome":"success","request_id":"","address":"","principal":"","route":"","detail":{},"appid":"merlon"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestStringsAreSafeInALine(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain text is as it was", "O'Brien <b> & 1/2", `O'Brien <b> & 1/2`},
		{"letters of all scripts are as they were", "Zoë 日本 🔒", `Zoë 日本 🔒`},
		{"quotes and backslashes are escaped", `a"b\c`, `a\"b\\c`},
		{"line breaks are escaped", "a\r\nb", `a\u000d\u000ab`},
		{"terminal escapes are escaped", "\x1b[31m\a", `\u001b[31m\u0007`},
		{"DEL is escaped", "a\x7f", `a\u007f`},
		{"C1 controls are escaped", "\u009b31m\u0085", `\u009b31m\u0085`},
		{"line and paragraph separators are escaped", "a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"bidirectional controls are escaped", "a\u202eb\u2066c\u200fd", `a\u202eb\u2066c\u200fd`},
		{"invisible characters are escaped", "a\u200bb\ufeffc\u00ad", `a\u200bb\ufeffc\u00ad`},
		{"invisible characters of the upper planes are escaped", "a\U000E0041", `a\udb40\udc41`},
		{"NUL is replaced", "a\x00b", "a\uFFFDb"},
		{"invalid UTF-8 is replaced", "a\xffb\xc3", "a\uFFFDb\uFFFD"},
		{"encoded surrogates are replaced", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
		{"the replacement character is as it was", "\uFFFD", "\uFFFD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := string(audit.AppendJSON(nil, audit.Event{Type: "x", UserAgent: c.in}))
			if want := `"useragent":"` + c.want + `"}`; !strings.HasSuffix(line, want) {
				t.Errorf("line ends %q, want %q", line[strings.Index(line, `"appid"`):], want)
			}
		})
	}
}

func TestFieldsAreBounded(t *testing.T) {
	a := func(n int) string { return strings.Repeat("a", n) }
	for _, c := range []struct {
		name string
		e    audit.Event
		want string
	}{
		{"a user agent of 256 bytes is whole", audit.Event{UserAgent: a(256)}, `"useragent":"` + a(256) + `"`},
		{"a user agent of 257 bytes is cut", audit.Event{UserAgent: a(257)}, `"useragent":"` + a(253) + `…"`},
		{"a user agent of 1 MiB is cut", audit.Event{UserAgent: a(1 << 20)}, `"useragent":"` + a(253) + `…"`},
		{"a cut does not split a rune", audit.Event{UserAgent: a(252) + "éééé"}, `"useragent":"` + a(252) + `…"`},
		{"a cut right after a rune keeps it", audit.Event{UserAgent: a(251) + "éééé"}, `"useragent":"` + a(251) + `é…"`},
		{"a path of 512 bytes is whole", audit.Event{Path: "/" + a(511)}, `"request_uri":"/` + a(511) + `"`},
		{"a path of 513 bytes is cut", audit.Event{Path: "/" + a(512)}, `"request_uri":"/` + a(508) + `…"`},
		{"a query string is not logged", audit.Event{Path: "/reset?token=s3cret"}, `"request_uri":"/reset?…"`},
		{"a detail of 512 bytes is whole", audit.Event{Detail: []slog.Attr{slog.String("k", a(512))}}, `{"k":"` + a(512) + `"}`},
		{"a detail of 513 bytes is cut", audit.Event{Detail: []slog.Attr{slog.String("k", a(513))}}, `{"k":"` + a(509) + `…"}`},
		{"a long name of a detail is cut", audit.Event{Detail: []slog.Attr{slog.Int(a(65), 1)}}, `{"` + a(61) + `…":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.e.Type = "x"
			if line := string(audit.AppendJSON(nil, c.e)); !strings.Contains(line, c.want) {
				t.Errorf("line %s\nlacks %s", line, c.want)
			}
		})
	}
}

func TestHostIsSplitIntoNameAndPort(t *testing.T) {
	for _, c := range []struct{ host, want string }{
		{"api.example.com", `"hostname":"api.example.com"}`},
		{"api.example.com:8443", `"hostname":"api.example.com","port":"8443"}`},
		{"[2001:db8::1]:443", `"hostname":"[2001:db8::1]","port":"443"}`},
		{"[2001:db8::1]", `"hostname":"[2001:db8::1]"}`},
		{"2001:db8::1", `"hostname":"2001:db8::1"}`},
		{"host:", `"hostname":"host:"}`},
		{":80", `"hostname":":80"}`},
		{"host:1e3", `"hostname":"host:1e3"}`},
		{"host:123456", `"hostname":"host:123456"}`},
	} {
		if line := string(audit.AppendJSON(nil, audit.Event{Type: "x", Host: c.host})); !strings.HasSuffix(line, c.want) {
			t.Errorf("host %q: line %s, want it to end %s", c.host, line, c.want)
		}
	}
}

type (
	code   string
	secret struct{ value string }
	panics struct{}
	hidden string
)

func (panics) String() string          { panic("no") }
func (hidden) LogValue() slog.Value    { return slog.StringValue("hidden") }
func attrs(a ...slog.Attr) audit.Event { return audit.Event{Type: "x", Detail: a} }

func TestDetail(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []slog.Attr
		want string
	}{
		{"nothing is an empty object", nil, `{}`},
		{"numbers and truths", []slog.Attr{slog.Int("i", -1), slog.Uint64("u", 1<<63), slog.Float64("f", 0.5), slog.Bool("b", true)},
			`{"i":-1,"u":9223372036854775808,"f":0.5,"b":true}`},
		{"numbers that JSON has not are null", []slog.Attr{slog.Float64("a", math.NaN()), slog.Float64("b", math.Inf(1))}, `{"a":null,"b":null}`},
		{"durations are seconds", []slog.Attr{slog.Duration("d", 1500*time.Millisecond), slog.Duration("h", time.Hour)}, `{"d":1.5,"h":3600}`},
		{"times are UTC", []slog.Attr{slog.Time("t", noon)}, `{"t":"2026-03-01T11:00:00.120456Z"}`},
		{"lists of strings", []slog.Attr{slog.Any("l", []string{"a", "b\n"}), slog.Any("e", []string{}), slog.Any("c", []code{"x"})},
			`{"l":["a","b\u000a"],"e":[],"c":["x"]}`},
		{"groups are objects", []slog.Attr{slog.Group("g", slog.Int("a", 1), slog.Group("h", slog.Int("b", 2)))}, `{"g":{"a":1,"h":{"b":2}}}`},
		{"errors and what has a string are strings", []slog.Attr{slog.Any("e", errors.New("bad")), slog.Any("a", netip.MustParseAddr("192.0.2.1"))},
			`{"e":"bad","a":"192.0.2.1"}`},
		{"types of strings and numbers are what they are", []slog.Attr{slog.Any("c", code("x")), slog.Any("m", time.March), slog.Any("n", int8(3)), slog.Any("z", nil)},
			`{"c":"x","m":"March","n":3,"z":null}`},
		{"structs, bytes and pointers are not looked into", []slog.Attr{slog.Any("s", secret{"pw"}), slog.Any("b", []byte("pw")), slog.Any("p", &secret{"pw"})},
			`{"s":"not recorded: audit_test.secret","b":"not recorded: []uint8","p":"not recorded: *audit_test.secret"}`},
		{"a LogValuer chooses", []slog.Attr{slog.Any("h", hidden("pw"))}, `{"h":"hidden"}`},
		{"a method that panics harms nobody", []slog.Attr{slog.Any("p", panics{})}, `{"p":"%!v(PANIC=String method: no)"}`},
		{"of one name the last counts", []slog.Attr{slog.Int("a", 1), slog.Int("b", 2), slog.Int("a", 3)}, `{"b":2,"a":3}`},
		{"names are escaped", []slog.Attr{slog.Int("a\"\n", 1)}, `{"a\"\u000a":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(audit.AppendDetail(nil, c.in)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDetailIsBoundedAsAWhole(t *testing.T) {
	var many []slog.Attr
	for i := range 70 {
		many = append(many, slog.Int(fmt.Sprint(i), i))
	}
	deep := slog.Int("a", 1)
	for range 6 {
		deep = slog.Group("g", deep)
	}
	var large []slog.Attr
	for i := range 40 {
		large = append(large, slog.String(fmt.Sprint(i), strings.Repeat("b", 500)))
	}
	large = append(large, slog.Int("small", 1))
	for _, c := range []struct {
		name string
		in   []slog.Attr
		has  string
		lost string
	}{
		{"64 attributes", many[:64], `"63":63}`, ""},
		{"70 attributes", many, `"63":63}`, `,"detail_omitted":6,`},
		{"groups in groups", []slog.Attr{deep}, `{"g":{"g":{"g":{"g":{}}}}}`, `,"detail_omitted":1,`},
		{"20 kB of text; what is small still fits", large, `"small":1}`, `,"detail_omitted":8,`},
		{"a long list", []slog.Attr{slog.Any("l", make([]string, 40))}, strings.Repeat(`"",`, 32) + `"…"]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := string(audit.AppendJSON(nil, attrs(c.in...)))
			if !strings.Contains(line, c.has) {
				t.Errorf("line %s\nlacks %s", line, c.has)
			}
			if !strings.Contains(line, c.lost) || c.lost == "" && strings.Contains(line, "omitted") {
				t.Errorf("line %s\nwant %q", line, c.lost)
			}
		})
	}
}

func TestYearsBeyondRFC3339AreTheZeroTime(t *testing.T) {
	for _, at := range []time.Time{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)} {
		line := string(audit.AppendJSON(nil, audit.Event{Type: "x", Time: at}))
		if !strings.Contains(line, `"time":"0001-01-01T00:00:00.000000Z"`) {
			t.Errorf("%v: %s", at, line)
		}
	}
}

func TestEveryTypeHasADescription(t *testing.T) {
	if got := audit.SysStartup.Description(); got != "The service started." {
		t.Errorf("got %q", got)
	}
	if got := audit.Type("posts_created").Description(); got != "" {
		t.Errorf("a type of somebody else: %q", got)
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("POST", "api.example.com", "/a?b", "curl/8", "usr_1", "key", "value", int64(1), 3)
	f.Add("\x00", "\xff:80", "\n\r", "\x1b[2J\u2028", "\u202e", "\"", "\\", int64(-1<<62), 100)
	f.Add(strings.Repeat("é", 300), strings.Repeat("\xf0\x9f", 300), strings.Repeat("?", 600), "\ud7ff", "", "", "", int64(0), 0)
	f.Fuzz(func(t *testing.T, method, host, path, agent, principal, key, value string, n int64, count int) {
		e := audit.Event{
			ID: value, Time: time.Unix(n, n), Type: audit.Type(key), Category: audit.Category(value),
			Severity: audit.Severity(agent), Outcome: audit.Outcome(path), RequestID: host, Address: value,
			Principal: principal, Route: path, Method: method, Host: host, Path: path, UserAgent: agent, Description: value,
		}
		for i := range min(max(count, 0), 100) {
			e.Detail = append(e.Detail, slog.String(fmt.Sprint(key, i), value), slog.Duration(key, time.Duration(n)),
				slog.Any(value, []string{value, key, agent}), slog.Group(agent, slog.String(key, path), slog.Int64(value, n)))
		}
		line := audit.AppendJSON(nil, e)
		if len(line) > 32<<10 {
			t.Errorf("%d bytes", len(line))
		}
		for i, r := range string(line) {
			if r != ' ' && !unicode.IsPrint(r) || r == utf8.RuneError && !bytes.HasPrefix(line[i:], []byte("\uFFFD")) {
				t.Fatalf("%q at %d of %q", r, i, line)
			}
		}
		var got struct {
			ID, Time, Useragent string
			Detail              map[string]any
			RequestURI          string `json:"request_uri"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", got.Time); err != nil {
			t.Error(err)
		}
		if want := strings.ReplaceAll(agent, "\x00", "\uFFFD"); len(agent) <= 256 && utf8.ValidString(agent) && got.Useragent != want {
			t.Errorf("user agent %q, want %q", got.Useragent, want)
		}
		if _, query, _ := strings.Cut(got.RequestURI, "?"); query != "" && query != "…" {
			t.Errorf("request_uri %q has a query", got.RequestURI)
		}
		noDuplicates(t, json.NewDecoder(bytes.NewReader(line)))
	})
}

// noDuplicates fails when an object in d has a member twice.
func noDuplicates(t *testing.T, d *json.Decoder) {
	token, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch token {
	case json.Delim('['):
		for d.More() {
			noDuplicates(t, d)
		}
	case json.Delim('{'):
		seen := map[any]bool{}
		for d.More() {
			name, err := d.Token()
			if err != nil || seen[name] {
				t.Fatalf("member %q twice, or %v", name, err)
			}
			seen[name] = true
			noDuplicates(t, d)
		}
	default:
		return
	}
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
}

func typical() audit.Event {
	return audit.Event{
		ID: "evt_01890000-0000-7000-8000-000000000001", Time: noon, Type: audit.ExcessRateLimitExceeded, Outcome: audit.Refused,
		RequestID: "7QHX2M4ZK5T3WY6PRD8N9VBCAF", Address: "2001:db8::7", Principal: "usr_01890000-0000-7000-8000-000000000002",
		Route: "GET /api/v1/posts/{id}", Method: "GET", Host: "api.example.com", Path: "/api/v1/posts/pst_7",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Detail:    []slog.Attr{slog.String("rule", "default"), slog.Int("limit", 100), slog.Duration("window", time.Minute)},
	}
}

func TestEncodingDoesNotAllocate(t *testing.T) {
	e, buf := typical(), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { buf = audit.AppendJSON(buf[:0], e) }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
