package e2e_test

import (
	"bytes"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"
)

// What is called a parser here is httpsfv, which nobody of this project wrote:
// checkStructured has it read the fields of every answer, and TestStructuredFields
// shows that it may be believed.

// checkStructured checks that the fields that are structured (RFC 9651) are lists of
// items, or a dictionary, as their standards say.
func checkStructured(a *answer, fault func(string, ...any)) {
	policy := limitItems(a.header.Values("Ratelimit-Policy"), fault)
	for name, left := range limitItems(a.header.Values("Ratelimit"), fault) {
		rule, ok := policy[name]
		if !ok {
			fault("RateLimit names %q, which RateLimit-Policy does not", name)
			continue
		}
		q, w, r := rule["q"], rule["w"], left["r"]
		if q < 1 || w < 1 || r < 0 || r > q || left["t"] < 0 {
			fault("policy %q is %v, with %v left", name, rule, left)
		}
	}
	if value := a.header.Values("Reporting-Endpoints"); len(value) > 0 {
		endpoints, err := httpsfv.UnmarshalDictionary(value)
		if err != nil {
			fault("Reporting-Endpoints %q: %v", value, err)
			return
		}
		for _, name := range endpoints.Names() {
			member, _ := endpoints.Get(name)
			item, ok := member.(httpsfv.Item)
			if _, text := item.Value.(string); !ok || !text {
				fault("Reporting-Endpoints %q: %s is no string", value, name)
			}
		}
	}
}

// limitItems reads a field of draft-ietf-httpapi-ratelimit-headers: a list of items
// that are strings, with whole numbers as parameters.
func limitItems(values []string, fault func(string, ...any)) map[string]map[string]int64 {
	if len(values) == 0 {
		return nil
	}
	list, err := httpsfv.UnmarshalList(values)
	if err != nil || len(list) == 0 {
		fault("the field %q has %d items: %v", values, len(list), err)
		return nil
	}
	out := map[string]map[string]int64{}
	for _, member := range list {
		item, ok := member.(httpsfv.Item)
		name, text := item.Value.(string)
		if !ok || !text || out[name] != nil {
			fault("the field %q has a member that is no string, or twice the same", values)
			return nil
		}
		out[name] = map[string]int64{}
		for _, key := range item.Params.Names() {
			value, _ := item.Params.Get(key)
			number, whole := value.(int64)
			if !whole || !slices.Contains([]string{"q", "w", "r", "t"}, key) {
				fault("the field %q has the parameter %s=%v", values, key, value)
			}
			out[name][key] = number
		}
	}
	return out
}

func TestCheckStructuredFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, policy, left string
		faults             bool
	}{
		{"the example of the draft", `"burst";q=100;w=60,"daily";q=1000;w=86400`, `"burst";r=50;t=30`, false},
		{"nothing left", `"default";q=100;w=60`, `"default";r=0;t=1`, false},
		{"more left than there is", `"default";q=100;w=60`, `"default";r=101;t=1`, true},
		{"a name of no policy", `"default";q=100;w=60`, `"other";r=1`, true},
		{"a token as name", `default;q=100;w=60`, `default;r=1`, true},
		{"a decimal", `"default";q=100;w=60.5`, `"default";r=1`, true},
		{"a comma too many", `"default";q=100;w=60,`, `"default";r=1`, true},
		{"an inner list", `("default");q=100;w=60`, `"default";r=1`, true},
	} {
		a := &answer{header: map[string][]string{"Ratelimit-Policy": {tt.policy}, "Ratelimit": {tt.left}}}
		faults := 0
		checkStructured(a, func(string, ...any) { faults++ })
		if (faults > 0) != tt.faults {
			t.Errorf("%s: %d faults", tt.name, faults)
		}
	}
}

// The cases of the working group, github.com/httpwg/structured-field-tests.
func TestStructuredFields(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("VECTORS_DIR")
	if dir == "" {
		t.Skip("VECTORS_DIR is not set")
	}
	files, err := filepath.Glob(filepath.Join(dir, "structured-fields", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var cases []structuredCase
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber() // 1 and 1.0 are two things
		if err := dec.Decode(&cases); err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			count++
			if fault := c.fault(); fault != "" {
				t.Errorf("%s: %s: %q: %s", filepath.Base(file), c.Name, c.Raw, fault)
			}
		}
	}
	if count < 1591 {
		t.Errorf("%d cases, want 1591", count)
	}
}

// structuredCase is one case of the suite.
type structuredCase struct {
	Name       string
	Raw        []string
	HeaderType string `json:"header_type"`
	Expected   any
	MustFail   bool      `json:"must_fail"`
	CanFail    bool      `json:"can_fail"`
	Canonical  *[]string // as Raw where it is absent
}

// fault returns what the library does wrong, or "".
func (c structuredCase) fault() string {
	value, plain, err := parse(c.HeaderType, c.Raw)
	switch {
	case c.MustFail && err == nil:
		return fmt.Sprintf("is read as %v", plain)
	case c.MustFail || c.CanFail && err != nil:
		return ""
	case err != nil:
		return err.Error()
	case !same(plain, c.Expected):
		return fmt.Sprintf("is read as %v, want %v", plain, c.Expected)
	}
	want := c.Raw
	if c.Canonical != nil {
		want = *c.Canonical
	}
	text, err := httpsfv.Marshal(value)
	switch {
	case len(want) == 0 && text == "" && err == nil, len(want) == 1 && text == want[0] && err == nil:
		return ""
	case len(want) > 1:
		return "" // several lines without a canonical form: nothing to compare with
	}
	return fmt.Sprintf("is written as %q, %v, want %q", text, err, want)
}

// parse reads a field, and returns it as the suite writes it too.
func parse(kind string, raw []string) (value httpsfv.StructuredFieldValue, plain any, err error) {
	switch kind {
	case "item":
		item, err := httpsfv.UnmarshalItem(raw)
		if err != nil {
			return nil, nil, err
		}
		return item, plainMember(item), nil
	case "list":
		list, err := httpsfv.UnmarshalList(raw)
		if err != nil {
			return nil, nil, err
		}
		out := []any{}
		for _, member := range list {
			out = append(out, plainMember(member))
		}
		return list, out, nil
	}
	dict, err := httpsfv.UnmarshalDictionary(raw)
	if err != nil {
		return nil, nil, err
	}
	out := []any{}
	for _, name := range dict.Names() {
		member, _ := dict.Get(name)
		out = append(out, []any{name, plainMember(member)})
	}
	return dict, out, nil
}

func plainMember(member httpsfv.Member) any {
	switch m := member.(type) {
	case httpsfv.Item:
		return []any{plainBare(m.Value), plainParams(m.Params)}
	case httpsfv.InnerList:
		items := []any{}
		for _, item := range m.Items {
			items = append(items, plainMember(item))
		}
		return []any{items, plainParams(m.Params)}
	}
	return member
}

func plainParams(params *httpsfv.Params) any {
	out := []any{}
	for _, name := range params.Names() {
		value, _ := params.Get(name)
		out = append(out, []any{name, plainBare(value)})
	}
	return out
}

// typed is how the suite writes what JSON has no type for.
func typed(name string, value any) any { return object{"__type": name, "value": value} }

func plainBare(v any) any {
	switch v := v.(type) {
	case httpsfv.Token:
		return typed("token", string(v))
	case httpsfv.DisplayString:
		return typed("displaystring", string(v))
	case []byte:
		return typed("binary", base32.StdEncoding.EncodeToString(v))
	case time.Time:
		return typed("date", v.Unix())
	}
	return v
}

// same reports whether a value is what JSON spells.
func same(got, want any) bool {
	switch want := want.(type) {
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range list {
			if !same(list[i], want[i]) {
				return false
			}
		}
		return true
	case object:
		o, ok := got.(object)
		return ok && o["__type"] == want["__type"] && same(o["value"], want["value"])
	case json.Number:
		switch n := got.(type) {
		case int64:
			whole, err := want.Int64()
			return err == nil && whole == n
		case float64:
			_, err := want.Int64()
			decimal, _ := want.Float64()
			return err != nil && decimal == n
		}
		return false
	}
	return got == want
}
