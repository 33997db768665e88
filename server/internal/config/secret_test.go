package config_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"log"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/goccy/go-yaml"

	"github.com/merlonhq/merlon/server/internal/config"
)

const marker = "MARKER-plover-9-xyzzy-0-quux"

func TestSecretShowsItselfNowhere(t *testing.T) {
	s := config.NewSecret(marker)
	type exported struct{ Key config.Secret }
	type unexported struct{ key config.Secret }
	hidden := unexported{s}
	values := map[string]any{"alone": s, "pointer": &s, "in a field": exported{s}, "behind a pointer": &exported{s},
		"in an unexported field": hidden, "in a slice": []config.Secret{s}, "in a map": map[string]config.Secret{"k": s},
		"as a map key": map[config.Secret]int{s: 1}}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%10.3s", "%t", "%T", "%p", "%!"} {
			if out := fmt.Sprintf(verb, v); leaks(out) {
				t.Errorf("%s with %s: %s", name, verb, out)
			}
		}
		if out, err := json.Marshal(v); leaks(string(out)) || err != nil {
			t.Errorf("%s as JSON: %s, %v", name, out, err)
		}
		if out, _ := yaml.Marshal(v); leaks(string(out)) {
			t.Errorf("%s as YAML: %s", name, out)
		}
		var b bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
			slog.New(h).Info("x", "v", v)
		}
		if leaks(b.String()) {
			t.Errorf("%s in a log: %s", name, b.String())
		}
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err == nil && leaks(b.String()) {
		t.Error("gob encodes the text")
	}
	if out, _ := xml.Marshal(exported{s}); leaks(string(out)) {
		t.Errorf("XML: %s", out)
	}
	if out := errors.Join(fmt.Errorf("x: %v", s)).Error(); out != "x: [redacted]" {
		t.Errorf("error: %s", out)
	}
	if got := fmt.Sprintf("%v|%+v|%#v|%q|%x", s, s, s, s, s); got != strings.Repeat("[redacted]|", 4)+"[redacted]" {
		t.Errorf("formatted: %s", got)
	}
	if out, _ := json.Marshal(s); string(out) != `"[redacted]"` {
		t.Errorf("JSON: %s", out)
	}
	if out, _ := yaml.Marshal(exported{s}); !strings.Contains(string(out), "[redacted]") {
		t.Errorf("YAML: %s", out)
	}
}

// What prints by reflection, by interfaces of its own, or only the exported parts.
func TestSecretShowsItselfToNoEncoder(t *testing.T) {
	s := config.NewSecret(marker)
	type deep struct {
		Secret  config.Secret
		Pointer *config.Secret
		List    []config.Secret
		Attr    config.Secret `xml:"attr,attr"`
		hidden  config.Secret
		Err     error
	}
	v := deep{s, &s, []config.Secret{s, s}, s, s, fmt.Errorf("with %v and %w", s, errors.New(s.String()))}
	_ = v.hidden // it is there to be printed
	encoders := map[string]func(w *bytes.Buffer) error{
		"gob of the secret": func(w *bytes.Buffer) error { return gob.NewEncoder(w).Encode(s) },
		"gob of a struct":   func(w *bytes.Buffer) error { return gob.NewEncoder(w).Encode(struct{ A config.Secret }{s}) },
		"gob of a list":     func(w *bytes.Buffer) error { return gob.NewEncoder(w).Encode([]config.Secret{s}) },
		"XML of the secret": func(w *bytes.Buffer) error { return xml.NewEncoder(w).Encode(s) },
		"XML of a struct":   func(w *bytes.Buffer) error { v := v; v.Err = nil; return xml.NewEncoder(w).Encode(v) },
		"JSON, indented":    func(w *bytes.Buffer) error { e := json.NewEncoder(w); e.SetIndent(" ", " "); return e.Encode(v) },
		"JSON as a key":     func(w *bytes.Buffer) error { return json.NewEncoder(w).Encode(map[config.Secret]deep{s: v}) },
		"YAML": func(w *bytes.Buffer) error {
			return yaml.NewEncoder(w).Encode(map[string]any{"a": s, "b": &s, "c": []any{s}})
		},
		"a text template": func(w *bytes.Buffer) error {
			return template.Must(template.New("").Parse("{{.}} {{.Secret}} {{printf \"%#v %x\" . .Pointer}}")).Execute(w, v)
		},
		"an HTML template": func(w *bytes.Buffer) error {
			return htmltemplate.Must(htmltemplate.New("").Parse("<a href='{{.Secret}}' onclick='f({{.List}})'>{{.}}")).Execute(w, v)
		},
		"the log": func(w *bytes.Buffer) error { log.New(w, "", 0).Print(s, &s, v, &v, v.List); return nil },
		"slog, in a group": func(w *bytes.Buffer) error {
			slog.New(slog.NewJSONHandler(w, nil)).WithGroup("g").With("a", v).Info("m", slog.Group("h", "b", &v, "c", s))
			return nil
		},
		"slog, as text": func(w *bytes.Buffer) error {
			slog.New(slog.NewTextHandler(w, nil)).With("a", v).Info("m", "b", &v, "c", v.List)
			return nil
		},
		"fmt, by every verb": func(w *bytes.Buffer) error {
			for verb := '!'; verb <= '~'; verb++ {
				for _, flags := range []string{"", "+", "#", " ", "-", "0", "40.", "+#"} {
					fmt.Fprintf(w, "%"+flags+string(verb)+"\n", v, &v, s, &s, v.List)
				}
			}
			return nil
		},
	}
	for name, encode := range encoders {
		var b bytes.Buffer
		err := encode(&b)
		if leaks(b.String()) || err != nil && leaks(err.Error()) {
			t.Errorf("%s: %s (%v)", name, b.String(), err)
		}
		if err == nil && b.Len() == 0 {
			t.Errorf("%s: nothing is written", name)
		}
	}
	panicked := func() (text string) {
		defer func() { text = fmt.Sprint(recover()) }()
		panic(v)
	}()
	if leaks(panicked) {
		t.Errorf("a panic: %s", panicked)
	}
}

func TestSecretRevealsOnRequest(t *testing.T) {
	s := config.NewSecret(marker)
	if s.Reveal() != marker || !s.IsSet() || !s.Equal(config.NewSecret(marker)) || s.Equal(config.NewSecret("other")) {
		t.Error("a secret does not hold its text")
	}
	var zero config.Secret
	if zero.Reveal() != "" || zero.IsSet() || config.NewSecret("").IsSet() {
		t.Error("the zero secret is set")
	}
}

func leaks(out string) bool {
	hex := fmt.Sprintf("%x", marker)
	return strings.Contains(out, marker) || strings.Contains(strings.ToLower(strings.ReplaceAll(out, " ", "")), hex) ||
		strings.Contains(out, "plover")
}

// Every way to give a secret, good and bad, and every output of a load.
func TestNoOutputHoldsASecret(t *testing.T) {
	bad := []string{marker, "sqlite://" + marker, "postgres://u:" + marker + "@h/db", "redis://:" + marker + "@h",
		marker + "\\n" + marker, marker + marker, "changeme" + marker + marker}
	long := marker + "-tail-0123456789-bfhjk"
	type source struct {
		name, yaml string
		files      files
		env        []string
	}
	var sources []source
	for _, name := range []string{"secret_key", "secret_key_previous", "database_url", "redis_url"} {
		variable := "MERLON_" + strings.ToUpper(name)
		for _, v := range append(bad, long) {
			sources = append(sources,
				source{name + " in the file", name + ": \"" + v + "\"", nil, nil},
				source{name + " in a list", name + ": [\"" + v + "\", \"" + v + "\"]", nil, nil},
				source{name + " in a section", name + ": {x: \"" + v + "\"}", nil, nil},
				source{name + " in a block", name + ": |\n  " + v + "\n  " + v + "\n", nil, nil},
				source{name + " before a syntax error", name + ": \"" + v + "\n", nil, nil},
				source{name + " on the line of a syntax error", name + ": " + v + ": x: " + v, nil, nil},
				source{name + " behind a tag", name + ": !x " + v, nil, nil},
				source{name + " behind an anchor", "listen: &a " + "\"" + v + "\"\n" + name + ": *a", nil, nil},
				source{name + " in the environment", "", nil, []string{variable + "=" + v}},
				source{name + " in a file", "", files{"/s/k": []byte(v + "\n")}, []string{variable + "_FILE=/s/k"}},
				source{name + " in the name of a file", "", nil, []string{variable + "_FILE="}},
				source{name + " in two places", name + ": \"" + v + "\"", files{"/run/secrets/" + name: []byte(v)}, []string{variable + "=" + v}},
				source{name + " in credentials", "", files{"/c/" + name: []byte(v)}, []string{"CREDENTIALS_DIRECTORY=/c"}},
				source{name + " in .env", "environment: development", files{".env": []byte(variable + "='" + v + "'\n")}, nil},
				source{name + " in a broken .env", "environment: development", files{".env": []byte(variable + "='" + v + "\n")}, nil},
				source{name + " in a misspelt variable", "", nil, []string{variable + "X=" + v}},
				source{"a misspelt " + name, name + "x: \"" + v + "\"", nil, nil},
			)
		}
	}
	shown := 0
	for _, src := range sources {
		if strings.Contains(src.name, "anchor") {
			continue // the value is then also that of listen, which is no secret
		}
		s, problems := loadFiles(src.files, src.yaml, src.env...)
		j, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "settings", s, "problems", problems)
		slog.New(slog.NewTextHandler(&log, nil)).Info("start", "settings", s)
		out := lines(problems) + string(s.YAML()) + string(j) + fmt.Sprintf("%v %+v %#v %#v", s, &s, s, problems) + log.String()
		if leaks(out) {
			t.Errorf("%s (%q): the output holds it:\n%s", src.name, src.yaml, out)
		}
		shown += len(problems)
		reveal := s.SecretKey.Reveal() + s.DatabaseURL.Reveal()
		for _, p := range s.SecretKeyPrevious {
			reveal += p.Reveal()
		}
		if strings.Contains(reveal, marker) {
			shown++
		}
	}
	if shown < len(sources) {
		t.Errorf("only %d outputs for %d sources: the marker does not reach the code", shown, len(sources))
	}
}
