package server

import (
	"errors"
	"log/slog"
	"os"

	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/findings"
)

// CheckSettings is [LoadSettings], and judges what it loaded: it reports every
// finding too, those that are silenced last, and what [New] would refuse without a
// module. It reads the certificate and the modes of the files that are named, and makes nothing.
func CheckSettings(src Source) (Settings, []Problem) {
	set, places, found := config.LoadPlaces(config.Source(src))
	if !config.Fatal(found) {
		found = append(found, together(set)...)
	}
	var out []Problem
	for _, f := range findings.Check(findings.Input{
		Settings: set, Places: places, Problems: found, File: src.File, Environ: src.Environ, UID: os.Geteuid(), OpenFiles: findings.OpenFiles(),
	}) {
		out = append(out, problem(f, set.Environment))
	}
	return Settings{set: set}, out
}

// together reports what the parts of the service refuse though each setting is
// good. The certificate is left to the findings, which say more about it.
func together(set config.Settings) []config.Problem {
	set.TLS = config.TLS{}
	s := &Server{settings: set, log: slog.New(slog.DiscardHandler)}
	err := s.prepare(nil)
	err = errors.Join(err, s.Close())
	var out []config.Problem
	for _, one := range causes(err) {
		out = append(out, config.NotTogether(one))
	}
	return out
}

// causes returns the errors that were joined into err.
func causes(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, one := range joined.Unwrap() {
			out = append(out, causes(one)...)
		}
		return out
	}
	return []error{err}
}

func problem(f findings.Finding, environment string) Problem {
	return Problem{
		Silenced: (*Silence)(f.Silenced),
		ID:       f.ID, Severity: string(f.Severity), Fatal: findings.Stops(f, environment), Where: f.Where, Message: f.Message,
		Why: f.Why, Fix: f.Fix, Help: findings.Help(f.ID),
	}
}

// Parsed reports whether the settings file could be read and is YAML.
func Parsed(problems []Problem) bool {
	var found []config.Problem
	for _, p := range problems {
		found = append(found, config.Problem{ID: p.ID})
	}
	return config.Parsed(found)
}

// A Check is what can be wrong with settings: an id and what it means.
type Check struct {
	ID       string
	Severity string // low, medium, high or critical
	Title    string
	Why      string
	Help     string // the page that explains it
}

// Checks returns everything that [CheckSettings] looks for, in the order of the ids.
func Checks() []Check {
	var out []Check
	for _, d := range findings.Docs() {
		out = append(out, Check{d.ID, string(d.Severity), d.Title, d.Why, findings.Help(d.ID)})
	}
	return out
}

// Severities returns the severities of problems, the least first.
func Severities() []string {
	var out []string
	for _, s := range findings.Severities() {
		out = append(out, string(s))
	}
	return out
}

// AtLeast reports whether the problem is of this severity or worse.
func (p Problem) AtLeast(severity string) bool {
	return findings.Severity(p.Severity).AtLeast(findings.Severity(severity))
}

// RestartSettings returns the names of the settings whose change takes a restart; all
// others change with [Server.Reload].
func RestartSettings() []string {
	var out []string
	for _, s := range config.Reference() {
		if s.Restart {
			out = append(out, s.Name)
		}
	}
	return out
}

// YAML returns the settings as a file, with secrets as "[redacted]".
func (s Settings) YAML() []byte { return s.set.YAML() }

// JSON returns the settings as a JSON object, with secrets as "[redacted]".
func (s Settings) JSON() ([]byte, error) { return s.set.JSON() }

// SettingsTemplate returns a settings file for production: every setting with its
// meaning and its default, and what has to be filled in.
func SettingsTemplate() []byte { return config.Template() }

// GenerateSecretKey returns a new value for secret_key.
func GenerateSecretKey() string { return config.GenerateKey().Reveal() }
