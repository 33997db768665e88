package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/internal/nearest"
)

// Source is everything that settings are read from.
type Source struct {
	// File is the path of the YAML file; empty means none.
	File string
	// Listen is the address of the flag --listen; it wins over file and
	// environment. Empty means that the flag was not given.
	Listen string
	// Environ are the variables, "NAME=value"; of two with one name the first counts.
	Environ []string
	// Open opens File, .env in the working directory, and the files of secrets.
	// A missing file is fs.ErrNotExist. Nil means os.Open.
	Open func(path string) (io.ReadCloser, error)
}

// given is a value from one place.
type given struct {
	place string // what to name when a secret is set twice
	value node
	file  string // the file of a secret that came from one
}

type loader struct {
	decoder
	src   Source
	given map[string][]given // by setting, the last one wins
	bad   map[string]bool    // settings that already have a problem
}

// Load reads the settings. A setting with a problem keeps its default; they are
// fit to serve with only when [Fatal] is false for the problems.
func Load(src Source) (Settings, []Problem) {
	s, _, problems := LoadPlaces(src)
	return s, problems
}

// LoadPlaces is [Load], and tells where each setting was written.
func LoadPlaces(src Source) (Settings, Places, []Problem) {
	if src.Open == nil {
		src.Open = func(path string) (io.ReadCloser, error) { return os.Open(path) }
	}
	l := &loader{src: src, given: map[string][]given{}, bad: map[string]bool{}}
	l.file()
	l.environ()
	l.secretFiles()
	if src.Listen != "" {
		l.give("listen", "--listen", node{kind: kindEnviron, where: "--listen", text: src.Listen})
	}
	s := defaults(l.environment())
	for _, f := range settings() {
		for _, g := range l.given[f.name] {
			if !l.decode(f.name, f.place(&s), f.spec, g.value) {
				l.bad[f.name] = true
			}
		}
	}
	l.secretsTwice()
	// What a file that cannot be read leaves out is not missing.
	if Parsed(l.problems) {
		l.check(&s)
	}
	return s, l.places(), l.problems
}

func (l *loader) give(name, place string, n node) {
	l.given[name] = append(l.given[name], given{place: place, value: n})
}

// environment is needed before anything is decoded: it chooses the defaults.
// Whatever is not development is production, and reported when it is neither.
func (l *loader) environment() string {
	g := l.given["environment"]
	if len(g) > 0 && g[len(g)-1].value.text == Development {
		return Development
	}
	return Production
}

// read returns what is in the file, at most maxFileBytes of it.
func (l *loader) read(path string) ([]byte, error) {
	f, err := l.src.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(b) > maxFileBytes {
		err = fmt.Errorf("more than %d bytes", maxFileBytes)
	}
	return b, err
}

// reason is err without the path, which is named already.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return err.Error()
}

func (l *loader) file() {
	if l.src.File == "" {
		return
	}
	b, err := l.read(l.src.File)
	if err != nil {
		l.report(l.src.File, fault{idFileUnreadable, "cannot be read: " + reason(err), "correct the path or the file's permissions"})
		return
	}
	root, problems := tree(l.src.File, b)
	l.problems = append(l.problems, problems...)
	switch root.kind {
	case kindNull, kindInvalid:
	case kindMapping:
		l.section("", root)
	default:
		l.report(root.where, fault{idNotYAML, "the file holds " + root.kind.String() + " and no settings", "write lines such as environment: production"})
	}
}

// section notes the settings below prefix.
func (l *loader) section(prefix string, n node) {
	for _, p := range n.pairs {
		path := prefix + p.key
		known := !strings.Contains(p.key, ".") && slices.ContainsFunc(settings(), func(f field[Settings]) bool { return f.name == path })
		empty := p.value.kind == kindNull || p.value.kind == kindText && p.value.text == ""
		switch {
		case p.value.kind == kindInvalid:
			l.bad[path] = true
		case known && empty && slices.Contains(secretNames(), path):
			// A template's empty line, not a second place.
		case known:
			l.give(path, p.value.where, p.value)
		case strings.Contains(p.key, "."):
			l.report(p.where, fault{idUnknownKey, "unknown setting " + show(p.key), "nest it: a line for each section, indented"})
		case isSection(path) && p.value.kind == kindMapping:
			l.section(path+".", p.value)
		case isSection(path) && p.value.kind == kindNull:
		case isSection(path):
			l.report(p.where, fault{idWrongType, path + " must be a section and is " + p.value.kind.String(), "write its settings below it"})
		case l.later(path, p.where, p.value):
		default:
			l.report(p.where, fault{idUnknownKey, "unknown setting " + show(path), suggest(path)})
		}
	}
}

// later reports a setting of the contract that is not served yet.
func (l *loader) later(path, where string, n node) bool {
	s, ok := findLater(path)
	if !ok {
		return false
	}
	scalar := n.kind == kindNull || n.kind == kindText || n.kind == kindWhole || n.kind == kindEnviron
	if path != s.name || !scalar || n.text != s.neutral {
		l.report(where, fault{idNotInThisVersion, path + " is not in this version", s.instead})
	}
	return true
}

// suggest is the fix for an unknown path: a near name, or the only setting of
// the same name in another section.
func suggest(path string) string {
	var names, elsewhere []string
	leaf := path[strings.LastIndexByte(path, '.')+1:]
	for _, f := range settings() {
		names = append(names, f.name)
		for section := f.name; strings.Contains(section, "."); {
			section = section[:strings.LastIndexByte(section, '.')]
			if !slices.Contains(names, section) {
				names = append(names, section)
			}
		}
		if f.name[strings.LastIndexByte(f.name, '.')+1:] == leaf {
			elsewhere = append(elsewhere, f.name)
		}
	}
	for _, s := range laterSettings() {
		names = append(names, s.name)
	}
	if len(elsewhere) == 1 {
		return "did you mean " + elsewhere[0] + "?"
	}
	return didYouMean(path, names, "remove it")
}

// didYouMean is the fix for an unknown name.
func didYouMean(name string, candidates []string, otherwise string) string {
	if n := nearest.Name(name, candidates); n != "" {
		return "did you mean " + n + "?"
	}
	return otherwise
}

// secretsTwice reports secrets that come from more than one place.
func (l *loader) secretsTwice() {
	for _, name := range secretNames() {
		g := l.given[name]
		if len(g) < 2 {
			continue
		}
		places := make([]string, 0, len(g))
		for _, one := range g {
			places = append(places, one.place)
		}
		l.bad[name] = true
		l.report(places[len(places)-1], fault{idSecretTwice, name + " is set in " + strings.Join(places, " and "), "keep one of them"})
	}
}
