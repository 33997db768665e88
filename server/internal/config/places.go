package config

import (
	"fmt"
	"slices"
	"strings"
)

// Places tell where the settings of one load were written. The zero Places know
// of none.
type Places struct {
	where  map[string]string
	secret map[string]string
	inFile map[string]bool
	bad    map[string]bool
}

// Where returns the place of a setting, such as "merlon.yaml:12", or "settings" when
// it has its default. The entries of a list have places of their own: "hosts[1]".
func (p Places) Where(name string) string {
	for ; name != ""; name = name[:max(0, strings.LastIndexByte(name, '['))] {
		if w, ok := p.where[name]; ok {
			return w
		}
	}
	return notSet
}

// InFile reports whether the setting was written in the settings file.
func (p Places) InFile(name string) bool { return p.inFile[name] }

// SecretFile returns the file that a secret was read from, "" when it came from
// elsewhere.
func (p Places) SecretFile(name string) string { return p.secret[name] }

// Bad reports whether the setting has a problem already, so that its value is not
// the one that was written.
func (p Places) Bad(name string) bool { return p.bad[name] }

// places returns where everything was written.
func (l *loader) places() Places {
	p := Places{map[string]string{}, map[string]string{}, map[string]bool{}, l.bad}
	for name, all := range l.given {
		if len(all) == 0 {
			continue
		}
		last := all[len(all)-1]
		p.where[name] = last.value.where
		for i, item := range last.value.items {
			p.where[fmt.Sprintf("%s[%d]", name, i)] = item.where
		}
		p.secret[name] = last.file
		p.inFile[name] = l.src.File != "" && slices.ContainsFunc(all, func(g given) bool {
			return g.file == "" && strings.HasPrefix(g.value.where, l.src.File+":")
		})
	}
	return p
}
