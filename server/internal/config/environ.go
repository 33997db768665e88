package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

const (
	variablePrefix  = "MERLON_"
	environmentName = variablePrefix + "ENVIRONMENT"
	runSecrets      = "/run/secrets"
)

// variableOf returns the variable of a setting: rate_limits.default.limit is
// MERLON_RATE_LIMITS__DEFAULT__LIMIT.
func variableOf(setting string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(setting, ".", "__"))
}

// settingOf is the reverse, "" when no setting can have that variable.
func settingOf(variable string) string {
	s := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(variable, variablePrefix), "__", "."))
	if variableOf(s) != variable {
		return ""
	}
	return s
}

type variable struct{ name, value, where string }

// environ notes the settings of the environment and, in development, those of
// .env that the environment leaves open.
func (l *loader) environ() {
	var vars []variable
	seen := map[string]bool{}
	for _, e := range l.src.Environ {
		name, value, ok := strings.Cut(e, "=")
		if !ok || !strings.HasPrefix(name, variablePrefix) || seen[name] {
			continue
		}
		seen[name] = true
		vars = append(vars, variable{name, value, name})
	}
	development := l.environment() == Development
	if i := slices.IndexFunc(vars, func(v variable) bool { return v.name == environmentName }); i >= 0 {
		development = vars[i].value == Development
	}
	if development {
		for _, v := range l.dotenv() {
			if !seen[v.name] {
				vars = append(vars, v)
			}
		}
	}
	for _, v := range vars {
		l.variable(v)
	}
}

// dotenv returns the variables of .env in the working directory, in order of
// their names. They never enter the environment of the process.
func (l *loader) dotenv() []variable {
	b, err := l.read(".env")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.report(".env", fault{idDotenv, "cannot be read: " + reason(err), "correct its permissions, or remove it"})
		return nil
	}
	values, err := godotenv.Parse(bytes.NewReader(b))
	// A last line without "=" parses as the value of no name.
	if _, nameless := values[""]; err != nil || nameless {
		// The error quotes the line it stumbled over, so it is not passed on.
		l.report(".env", fault{idDotenv, "is not a list of NAME=value lines", "correct the file, with values in single quotes where they hold # or $"})
		return nil
	}
	var out []variable
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !strings.HasPrefix(name, variablePrefix) {
			continue
		}
		if name == environmentName {
			if values[name] != Development {
				l.report(".env", fault{idDotenv, name + " contradicts the environment, which is development", "set it in the environment or the settings file"})
			}
			continue
		}
		out = append(out, variable{name, values[name], ".env: " + name})
	}
	return out
}

func (l *loader) variable(v variable) {
	n := node{kind: kindEnviron, where: v.where, text: v.value}
	path := settingOf(v.name)
	i := slices.IndexFunc(settings(), func(f field[Settings]) bool { return f.name == path })
	secret := slices.Contains(secretNames(), path)
	switch {
	case onlyInFile(path) || isSection(path):
		l.report(v.where, fault{idOnlyInFile, path + " is more than one value", "write it in the settings file"})
	case i >= 0 && secret && v.value == "":
		l.bad[path] = true
		l.report(v.where, fault{idEmpty, "the variable is set and empty", "unset it, or give it its value"})
	case i >= 0:
		l.give(path, v.where, n)
	case l.secretFileVariable(v):
	case path != "" && l.later(path, v.where, n):
		if secret && v.value != "" {
			l.give(path, v.where, n)
		}
	default:
		otherwise := "unset it"
		if strings.HasPrefix(v.name, "MERLON_SERVICE_") || strings.HasPrefix(v.name, "MERLON_PORT") {
			otherwise = "unset it; in Kubernetes set enableServiceLinks: false"
			l.report(v.where, fault{idUnknownVariable, "no setting has this variable", otherwise})
			return
		}
		l.report(v.where, fault{idUnknownVariable, "no setting has this variable", didYouMean(strings.ToUpper(v.name), variables(), otherwise)})
	}
}

// variables returns the name of every variable.
func variables() []string {
	var names []string
	for _, f := range settings() {
		if !onlyInFile(f.name) {
			names = append(names, variableOf(f.name))
		}
	}
	for _, s := range secretNames() {
		names = append(names, variableOf(s)+"_FILE")
	}
	return names
}

// secretFileVariable reads the file that MERLON_<secret>_FILE names.
func (l *loader) secretFileVariable(v variable) bool {
	name, ok := strings.CutSuffix(v.name, "_FILE")
	path := settingOf(name)
	if !ok || !slices.Contains(secretNames(), path) {
		return false
	}
	if v.value == "" {
		l.bad[path] = true
		l.report(v.where, fault{idEmpty, "the variable is set and empty", "unset it, or name the file"})
		return true
	}
	l.secretFile(path, v.value, v.where, false)
	return true
}

// secretFiles reads the secrets that the platform mounts.
func (l *loader) secretFiles() {
	dirs := []string{runSecrets}
	for _, e := range l.src.Environ {
		if dir, ok := strings.CutPrefix(e, "CREDENTIALS_DIRECTORY="); ok {
			if dir != "" && filepath.Clean(dir) != runSecrets {
				dirs = append(dirs, dir)
			}
			break
		}
	}
	for _, dir := range dirs {
		for _, name := range secretNames() {
			file := filepath.Join(dir, name)
			l.secretFile(name, file, file, true)
		}
	}
}

// secretFile notes the secret in a file. A list has one entry on each line.
func (l *loader) secretFile(name, file, where string, optional bool) {
	b, err := l.read(file)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return
	}
	place := where
	if !optional {
		place = fmt.Sprintf("%s (%s)", where, ShowPath(file)) // the secret itself is often put there
	}
	if err != nil {
		l.bad[name] = true
		l.report(place, fault{idSecretUnreadable, name + " cannot be read: " + reason(err), "correct the path or the file's permissions"})
		l.give(name, place, node{kind: kindInvalid, where: place}) // it is a place where the secret is set
		return
	}
	text := strings.TrimRight(string(b), "\r\n")
	if text == "" {
		l.bad[name] = true
		l.report(place, fault{idEmpty, "the file of " + name + " is empty", "write the secret into it, or remove it"})
		return
	}
	n := node{kind: kindText, where: place, text: text}
	if name == "secret_key_previous" {
		n = node{kind: kindList, where: place}
		for line := range strings.Lines(text) {
			n.items = append(n.items, node{kind: kindText, where: place, text: strings.TrimRight(line, "\r\n")})
		}
	}
	l.given[name] = append(l.given[name], given{place, n, file})
	if _, isLater := findLater(name); isLater {
		l.later(name, place, n)
	}
}
