package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A unit is a unit file: the values of each directive in order.
type unit map[string][]string

// parseUnit reads what systemd.syntax(7) describes, without continued lines.
func parseUnit(text string) (unit, error) {
	u, section := unit{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if m := regexp.MustCompile(`^\[(\w+)\]$`).FindStringSubmatch(line); m != nil {
			section = m[1]
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || section == "" || strings.HasSuffix(line, `\`) {
			return nil, fmt.Errorf("%q is not understood", line)
		}
		u[section+"."+name] = append(u[section+"."+name], value)
	}
	return u, nil
}

func readUnit(t *testing.T) unit {
	t.Helper()
	u, err := parseUnit(read(t, "systemd/merlon.service"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// one returns the value of a directive of the service that is there once.
func (u unit) one(t *testing.T, name string) string {
	t.Helper()
	v := u["Service."+name]
	if len(v) != 1 {
		t.Fatalf("%s is there %d times, want once", name, len(v))
	}
	return v[0]
}

// systemdAnalyze is the judge of units. Where it is missing a test is skipped, but in CI.
func systemdAnalyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no systemd-analyze on the PATH, which CI must have: apt-get install systemd")
		}
		t.Skip("skipped: no systemd-analyze on the PATH (Debian: apt-get install systemd)")
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}

func TestTheExposureOfTheUnitIsAtMostOnePointFive(t *testing.T) {
	out, err := systemdAnalyze(t, "security", "--offline=true", "--threshold=15", "--no-pager", "systemd/merlon.service")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	// The judge judges: without one line of it the unit does not pass.
	weak := write(t, filepath.Join(t.TempDir(), "merlon.service"), strings.Replace(read(t, "systemd/merlon.service"), "NoNewPrivileges=yes\n", "", 1), 0o600)
	if out, err := systemdAnalyze(t, "security", "--offline=true", "--threshold=15", "--no-pager", weak); err == nil {
		t.Errorf("without NoNewPrivileges it passes too:\n%s", out)
	}
}

func TestTheManagerUnderstandsTheUnit(t *testing.T) {
	root := t.TempDir()
	for _, program := range []string{"/usr/local/bin/merlon", "/bin/kill"} {
		write(t, filepath.Join(root, program), "#!/bin/sh\n", 0o755)
	}
	text := read(t, "systemd/merlon.service")
	for name, tt := range map[string]struct{ text, complaint string }{
		"as it is":                  {text, ""},
		"with a directive too many": {strings.Replace(text, "[Install]", "ProtectEverything=yes\n\n[Install]", 1), "ProtectEverything"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "merlon.service")
			// Of the host's programs nothing may be asked.
			text := strings.ReplaceAll(tt.text, "/usr/local/bin/merlon serve", filepath.Join(root, "/usr/local/bin/merlon")+" serve")
			write(t, path, text, 0o644)
			out, _ := systemdAnalyze(t, "verify", "--man=no", "--recursive-errors=no", path) // other units may be at fault
			var ours []string
			for line := range strings.Lines(out) {
				if strings.Contains(line, "merlon.service") {
					ours = append(ours, line)
				}
			}
			said := strings.Join(ours, "")
			if tt.complaint == "" && said != "" || !strings.Contains(said, tt.complaint) {
				t.Errorf("systemd-analyze verify says %q, want %q:\n%s", said, tt.complaint, out)
			}
		})
	}
}

// The manager waits longer than the program does.
func TestTheUnitWaitsForTheDrain(t *testing.T) {
	u := readUnit(t)
	if got := u.one(t, "TimeoutStopSec"); got != "45s" {
		t.Errorf("TimeoutStopSec=%s, want 45s: drain_time is 5 s, requests have 20 s, and traces and events 15 s after them", got)
	}
	if got := u.one(t, "Type"); got != "notify" {
		t.Errorf("Type=%s, want notify: a start is over when requests are answered", got)
	}
	if got := u.one(t, "RestartPreventExitStatus"); got != "2" {
		t.Errorf("RestartPreventExitStatus=%s, want 2, the exit code of wrong settings", got)
	}
}

// merlonctl runs commands as the service runs: with its user, secrets and directories, which
// are made where the service has not been started yet.
func TestMerlonctlRunsAsTheServiceRuns(t *testing.T) {
	u, script := readUnit(t), read(t, "systemd/merlonctl")
	for _, name := range []string{"User", "Group", "UMask", "WorkingDirectory", "StateDirectory", "StateDirectoryMode", "LogsDirectory", "LogsDirectoryMode",
		"LoadCredential", "NoNewPrivileges", "ProtectSystem", "PrivateTmp"} {
		if want := "--property=" + name + "=" + u.one(t, name) + " "; !strings.Contains(strings.ReplaceAll(script, "\\\n", " "), want) {
			t.Errorf("merlonctl does not have %s", want)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", "systemd/merlonctl").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	// A systemd-run that prints tells what the shell makes of the words.
	dir := t.TempDir()
	write(t, filepath.Join(dir, "systemd-run"), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n", 0o755)
	cmd := exec.CommandContext(t.Context(), "sh", "systemd/merlonctl", "users", "create", "--username", "a b")
	cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	words := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || !slices.Equal(words[len(words)-5:], []string{"/usr/local/bin/merlon", "users", "create", "--username", "a b"}) {
		t.Errorf("%v: %q", err, words)
	}
}
