package config

import (
	"cmp"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The tests here are made of the table itself: a setting that is added to it is in
// them. What the form of each text must be stands in settings_test.go.

// wrong are values of a setting that must be refused: YAML, or the text of a variable.
type wrong struct{ value, id string }

// wrongFor returns what is wrong for a field, in the file and in a variable.
func wrongFor(place any, sp spec) (file, variable []wrong) {
	longList := "[" + strings.TrimSuffix(strings.Repeat("x, ", maxItems+1), ", ") + "]"
	switch place.(type) {
	case *string:
		file = []wrong{{"{a: b}", idWrongType}, {"[x]", idWrongType}, {"17", idWrongType}, {"true", idWrongType}, {`"a\tb"`, idWrongType}}
		variable = []wrong{{"a\tb", idWrongType}, {"a\xff", idWrongType}}
		if sp.required {
			file = append(file, wrong{"", idEmpty}, wrong{`""`, idEmpty})
			variable = append(variable, wrong{"", idEmpty})
		}
		if len(sp.oneOf) > 0 {
			file = append(file, wrong{"nonsense", idNotAChoice})
			variable = append(variable, wrong{"nonsense", idNotAChoice})
		}
	case *Secret:
		file = []wrong{{"{a: b}", idWrongType}, {"[x]", idWrongType}, {"17", idWrongType}, {`"a\tb"`, idWrongType}}
		variable = []wrong{{"", idEmpty}, {"a\tb", idWrongType}}
	case *int:
		file = []wrong{{"", idEmpty}, {"{a: b}", idWrongType}, {"[1]", idWrongType}, {`"17"`, idWrongType}, {"1.5", idWrongType}, {"true", idWrongType},
			{strconv.FormatInt(sp.min-1, 10), idOutOfRange}, {strconv.FormatInt(sp.max+1, 10), idOutOfRange}, {"-1", idOutOfRange}}
		variable = []wrong{{"", idEmpty}, {"x", idWrongType}, {"0x10", idWrongType}, {strconv.FormatInt(sp.max+1, 10), idOutOfRange}}
	case *bool:
		file = []wrong{{"", idEmpty}, {"{a: b}", idWrongType}, {"[true]", idWrongType}, {`"true"`, idWrongType}, {"1", idWrongType}}
		variable = []wrong{{"", idEmpty}, {"1", idWrongType}, {"TRUE", idWrongType}}
	case *time.Duration:
		unit := cmp.Or(sp.unit, time.Second)
		over, under := (time.Duration(sp.max+1) * unit).String(), (time.Duration(sp.min-1) * unit).String()
		file = []wrong{{"", idEmpty}, {"{a: b}", idWrongType}, {"[1h]", idWrongType}, {"17", idWrongType}, {"true", idWrongType}, {over, idOutOfRange}, {under, idOutOfRange}}
		variable = []wrong{{"", idEmpty}, {"17", idWrongType}, {over, idOutOfRange}, {under, idOutOfRange}}
	case *[]string:
		file = []wrong{{"", idEmpty}, {"{a: b}", idWrongType}, {"x", idWrongType}, {"17", idWrongType}, {"[{a: b}]", idWrongType}, {"[17]", idWrongType}, {`[""]`, idEmpty}, {longList, idOutOfRange}}
		variable = []wrong{{"a,,b", idEmpty}, {strings.Repeat("x,", maxItems+1) + "x", idOutOfRange}}
		if sp.required {
			file = append(file, wrong{"[]", idEmpty})
			variable = append(variable, wrong{"", idEmpty})
		}
	case *[]Quota:
		file = []wrong{{"", idEmpty}, {"{a: b}", idWrongType}, {"x", idWrongType}, {"[17]", idWrongType}, {"[100]", idWrongType}, {`["100"]`, idLimitsEntry}, {"[100/1]", idLimitsEntry}, {"[0/1m]", idOutOfRange},
			{"[100/1ms]", idOutOfRange}, {"[1/1m, 2/60s]", idLimitsEntry}, {longList, idOutOfRange}}
		variable = []wrong{{"100", idLimitsEntry}, {"1/1m,,2/1h", idEmpty}, {strings.Repeat("x,", maxItems+1) + "x", idOutOfRange}}
	case *[]Secret:
		file = []wrong{{"{a: b}", idWrongType}, {"x", idWrongType}, {"17", idWrongType}, {"[{a: b}]", idWrongType}, {"[17]", idWrongType}, {`[""]`, idEmpty}, {longList, idOutOfRange}}
		variable = []wrong{{"", idEmpty}, {strings.Repeat("x,", maxItems+1) + "x", idOutOfRange}}
	case *[]netip.Prefix:
		file = []wrong{{"", idEmpty}, {"{a: b}", idWrongType}, {"10.0.0.1", idWrongType}, {"[{a: b}]", idWrongType}, {"[17]", idWrongType}, {`[""]`, idEmpty}, {longList, idOutOfRange}}
		variable = []wrong{{strings.Repeat("x,", maxItems+1) + "x", idOutOfRange}}
	case *[]Silence:
		file = []wrong{{"", idEmpty}, {"{a: b}", idWrongType}, {"x", idWrongType}, {"[x]", idWrongType}, {"[{id: merlon.E003, reason: r, until: 2027-01-31}]", idSilenceID}, {longList, idOutOfRange}}
		variable = []wrong{{"", idOnlyInFile}, {"[]", idOnlyInFile}}
	case *[]Rule:
		file = []wrong{{"", idEmpty}, {"{a: b}", idWrongType}, {"x", idWrongType}, {"[x]", idWrongType}, {"[[]]", idWrongType}, {longList, idOutOfRange}}
		variable = []wrong{{"", idOnlyInFile}, {"[]", idOnlyInFile}}
	}
	return file, variable
}

// yamlLine writes a dotted name as the nested YAML it stands for.
func yamlLine(name, value string) string {
	path := strings.Split(name, ".")
	return strings.Join(path[:len(path)-1], ": {") + strings.Repeat(": {", min(1, len(path)-1)) + path[len(path)-1] + ": " + value + strings.Repeat("}", len(path)-1) + "\n"
}

// loadAlone loads text and variables, and nothing of this machine.
func loadAlone(text string, env ...string) []Problem {
	_, problems := Load(Source{File: "merlon.yaml", Environ: env, Open: func(path string) (io.ReadCloser, error) {
		if path != "merlon.yaml" {
			return nil, fs.ErrNotExist
		}
		return io.NopCloser(strings.NewReader(text)), nil
	}})
	return problems
}

func TestEverySettingRefusesWhatIsWrongByItsID(t *testing.T) {
	tried := 0
	var s Settings
	for _, f := range settings() {
		file, variable := wrongFor(f.place(&s), f.spec)
		if len(file) == 0 || len(variable) == 0 {
			t.Errorf("%s: nothing is known of its type: add it to wrongFor", f.name)
		}
		try := func(what, where string, w wrong, problems []Problem) {
			tried++
			i := slices.IndexFunc(problems, func(p Problem) bool { return p.ID == w.id && strings.HasPrefix(p.Where, where) })
			switch {
			case i < 0:
				t.Errorf("%s %q: want %s at %s:\n%v", what, w.value, w.id, where, problems)
			case !Fatal(problems):
				t.Errorf("%s %q does not stop the service", what, w.value)
			case w.value != "" && len(w.value) > 2 && f.name != "environment" && slices.Contains(secretNames(), f.name) && strings.Contains(problems[i].Message, w.value):
				t.Errorf("%s %q is repeated: %s", what, w.value, problems[i])
			}
		}
		for _, w := range file {
			if _, isSecret := f.place(&s).(*Secret); isSecret && w.value == "" {
				continue // a template's empty line
			}
			try(f.name, "merlon.yaml:1", w, loadAlone(yamlLine(f.name, w.value)))
		}
		for _, w := range variable {
			try(variableOf(f.name), variableOf(f.name), w, loadAlone("", variableOf(f.name)+"="+w.value))
		}
	}
	if tried < 8*len(settings()) {
		t.Errorf("only %d values were tried", tried)
	}
}

// All settings wrong at once are as many problems, each with its line or variable.
func TestEverySettingThatIsWrongIsToldAtOnce(t *testing.T) {
	var text strings.Builder
	var env []string
	sections := map[string][]string{}
	var order []string
	for _, f := range settings() {
		if !onlyInFile(f.name) {
			env = append(env, variableOf(f.name)+"=\x01")
		}
		section, _, _ := strings.Cut(f.name, ".")
		if sections[section] == nil {
			order = append(order, section)
		}
		sections[section] = append(sections[section], f.name)
	}
	var write func(prefix string, names []string, indent string)
	write = func(prefix string, names []string, indent string) {
		var below []string
		groups := map[string][]string{}
		for _, name := range names {
			head, _, isSection := strings.Cut(strings.TrimPrefix(name, prefix), ".")
			if !isSection {
				text.WriteString(indent + head + ": {x: 1}\n")
				continue
			}
			if groups[head] == nil {
				below = append(below, head)
			}
			groups[head] = append(groups[head], name)
		}
		for _, head := range below {
			text.WriteString(indent + head + ":\n")
			write(prefix+head+".", groups[head], indent+"  ")
		}
	}
	for _, section := range order {
		write("", sections[section], "")
	}
	inFile := loadAlone(text.String())
	inEnvironment := loadAlone("", env...)
	for _, f := range settings() {
		told := func(problems []Problem, where string) bool {
			return slices.ContainsFunc(problems, func(p Problem) bool {
				return strings.HasPrefix(p.Where, where) && (where != "merlon.yaml:" || strings.HasPrefix(p.Message, f.name+" must be "))
			})
		}
		if !told(inFile, "merlon.yaml:") {
			t.Errorf("%s is not told of among the others in the file", f.name)
		}
		if !onlyInFile(f.name) && !told(inEnvironment, variableOf(f.name)) {
			t.Errorf("%s is not told of among the others", variableOf(f.name))
		}
	}
}
