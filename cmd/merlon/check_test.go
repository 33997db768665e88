//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	keyInEnvironment = "MERLON_SECRET_KEY=3f9b2c71d84e60a5f7c1290eb46d8a53"
	behindProxy      = "hosts: [api.example.com]\ntrusted_proxies: [127.0.0.1]\n"
)

func TestCheckExitCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		args       []string
		code       int
	}{
		{"the default production configuration", behindProxy, nil, 0},
		{"with its low findings asked for", behindProxy, []string{"--fail-on", "low"}, 1},
		{"a medium finding", behindProxy + "sessions: {absolute_timeout: 48h}\n", nil, 1},
		{"a medium finding that is let pass", behindProxy + "sessions: {absolute_timeout: 48h}\n", []string{"--fail-on", "high"}, 0},
		{"a high finding", behindProxy + "rate_limits: {rules: []}\n", []string{"--fail-on", "high"}, 1},
		{"a high finding that is let pass", behindProxy + "rate_limits: {rules: []}\n", []string{"--fail-on", "critical"}, 0},
		{"an error is critical", behindProxy + "listem: x\n", []string{"--fail-on", "critical"}, 1},
		{"parts that are missing", "", []string{"--fail-on", "critical"}, 1},
		{"development", "environment: development\n", []string{"--fail-on", "low"}, 0},
		{"not YAML", "hosts: [\n", nil, 2},
		{"a list", "- hosts\n", nil, 2},
		{"not YAML, and nothing else matters", "hosts: [\n", []string{"--fail-on", "critical"}, 2},
	} {
		for _, format := range []string{"text", "json", "sarif"} {
			t.Run(tt.name+" as "+format, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				config := write(t, dir, "merlon.yaml", tt.file)
				r := run(t, merlon(append([]string{"check", "--config", config, "--format", format}, tt.args...)...).in(dir).with(keyInEnvironment))
				if r.code != tt.code || r.stderr != "" || r.stdout == "" {
					t.Errorf("exit %d, want %d and a report on standard output:\n%s%s", r.code, tt.code, r.stdout, r.stderr)
				}
				if made := names(t, dir); len(made) != 1 {
					t.Errorf("it made %v", made)
				}
			})
		}
	}
	t.Run("a file that is not there", func(t *testing.T) {
		t.Parallel()
		if r := run(t, merlon("check", "--config", "absent.yaml")); r.code != 2 || !strings.Contains(r.stdout, "merlon.E001") {
			t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
	})
	t.Run("without a file, by the environment", func(t *testing.T) {
		t.Parallel()
		if r := run(t, merlon("check").with(keyInEnvironment, "MERLON_HOSTS=api.example.com", "MERLON_TRUSTED_PROXIES=127.0.0.1")); r.code != 0 {
			t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		if r := run(t, merlon("check")); r.code != 1 || !strings.Contains(r.stdout, "merlon.E013") {
			t.Errorf("exit %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
	})
	t.Run("words that are none", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{{"--format", "xml"}, {"--fail-on", "info"}, {"merlon.yaml"}} {
			if r := run(t, merlon(append([]string{"check"}, args...)...)); r.code != 2 || r.stdout != "" || !strings.HasPrefix(r.stderr, "merlon: ") {
				t.Errorf("%v: exit %d:\n%s%s", args, r.code, r.stdout, r.stderr)
			}
		}
	})
}

// judged is a file with a finding of each severity that needs no file mode.
const judged = `hosts: [api.example.com]
trusted_proxies: [127.0.0.1]
sessions:
  absolute_timeout: 48h
rate_limits: {rules: []}
nonsense: 1
`

// asRoot is how many findings there are more where the tests run as root.
func asRoot() int {
	if os.Geteuid() == 0 {
		return 1
	}
	return 0
}

func TestCheckAsText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", judged)
	r := run(t, merlon("check", "--config", config).in(dir).with(keyInEnvironment))
	first := "critical  merlon.E003  " + config + ":6\n" +
		"          unknown setting \"nonsense\"\n" +
		"          why  A misspelt setting would silently leave its default in force.\n" +
		"          fix  remove it\n" +
		"          see  https://github.com/merlonhq/merlon/blob/main/docs/checks.md#merlone003\n\n"
	if !strings.HasPrefix(r.stdout, first) {
		t.Errorf("it begins\n%s\nwant\n%s", r.stdout, first)
	}
	severities := regexp.MustCompile(`(?m)^(critical|high|medium|low) +merlon\.`).FindAllStringSubmatch(r.stdout, -1)
	var order []string
	for _, m := range severities {
		order = append(order, m[1])
	}
	order = slices.Compact(order)
	if got := strings.Join(order, " "); got != "critical high medium low" {
		t.Errorf("in the order %s", got)
	}
	if want := fmt.Sprintf("\nFound 1 critical, 4 high, 1 medium, %d low: 6 at medium or above.\n", 5+asRoot()); !strings.HasSuffix(r.stdout, want) {
		t.Errorf("it ends otherwise:\n%s", r.stdout)
	}
	for line := range strings.Lines(r.stdout) {
		if len(line) > 97 && !strings.Contains(line, dir) && !strings.Contains(line, "https://") {
			t.Errorf("a long line: %q", line)
		}
	}
	if strings.ContainsRune(r.stdout, '\x1b') {
		t.Error("colours without a terminal")
	}
	clean := write(t, dir, "clean.yaml", "environment: development\n")
	if r := run(t, merlon("check", "--config", clean).in(dir)); r.stdout != "Nothing found.\n" {
		t.Errorf("said %q", r.stdout)
	}
}

// On a terminal the severity has a colour, unless NO_COLOR or TERM=dumb say otherwise.
func TestCheckInColours(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("script(1) has other options here")
	}
	script, err := exec.LookPath("script")
	if err != nil {
		t.Skip("there is no script(1) to make a terminal")
	}
	dir := t.TempDir()
	write(t, dir, "merlon.yaml", judged)
	for env, want := range map[string]bool{"NO_COLOR=": true, "NO_COLOR=1": false, "TERM=dumb": false} {
		cmd := exec.Command(script, "-qec", binary+" check --config merlon.yaml", "/dev/null")
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "TERM=xterm", "SHELL=/bin/sh", keyInEnvironment, env}
		out, err := cmd.Output()
		if !strings.Contains(string(out), "merlon.E003") {
			t.Fatalf("%v: %s", err, out)
		}
		if got := strings.Contains(string(out), "\x1b[1;31mcritical\x1b[0m  merlon.E003"); got != want {
			t.Errorf("%s: coloured %v, want %v:\n%q", env, got, want, out)
		}
	}
}

func TestCheckAsJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", judged)
	r := run(t, merlon("check", "--format", "json", "--config", config, "--fail-on", "high").in(dir).with(keyInEnvironment))
	var got struct {
		File     string         `json:"file"`
		FailOn   string         `json:"fail_on"`
		Failed   bool           `json:"failed"`
		Counts   map[string]int `json:"counts"`
		Silenced int            `json:"silenced"`
		Findings []struct {
			ID, Severity, Where, Message, Why, Fix, Help string
			Line                                         int
		} `json:"findings"`
	}
	d := json.NewDecoder(strings.NewReader(r.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v:\n%s", err, r.stdout)
	}
	if got.File != config || got.FailOn != "high" || !got.Failed || len(got.Counts) != 4 || got.Counts["high"] != 4 || len(got.Findings) != 11+asRoot() || got.Silenced != 0 {
		t.Errorf("%+v", got)
	}
	lines := map[string]int{}
	for _, f := range got.Findings {
		lines[f.ID] = f.Line
		if f.Message == "" || f.Why == "" || f.Fix == "" || !strings.HasPrefix(f.Help, "https://") || f.Where == "" {
			t.Errorf("incomplete: %+v", f)
		}
	}
	if lines["merlon.E003"] != 6 || lines["merlon.W022"] != 4 || lines["merlon.W001"] != 5 || lines["merlon.W028"] != 0 {
		t.Errorf("lines %v", lines)
	}
	clean := write(t, dir, "clean.yaml", "environment: development\n")
	r = run(t, merlon("check", "--format", "json", "--config", clean).in(dir))
	if !strings.Contains(r.stdout, `"findings": []`) || !strings.Contains(r.stdout, `"failed": false`) {
		t.Errorf("nothing found:\n%s", r.stdout)
	}
}

// What the schema of SARIF 2.1.0 requires, and what code scanning needs.
func TestCheckAsSARIF(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// The path of the report is that in the repository, which is the working directory.
	if err := os.Mkdir(filepath.Join(dir, "deploy it"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "deploy it/merlon.yaml", judged)
	r := run(t, merlon("check", "--format", "sarif", "--config", "deploy it/merlon.yaml").in(dir).with(keyInEnvironment, "MERLON_SECRET_KEY_PREVIOUS=short"))
	var got struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name, Version, InformationURI string
					Rules                         []struct {
						ID                                string
						ShortDescription, FullDescription struct{ Text string }
						HelpURI                           string
						DefaultConfiguration              struct{ Level string }
						Properties                        struct {
							Tags             []string
							SecuritySeverity string `json:"security-severity"`
						}
					}
				}
			}
			Results []struct {
				RuleID     string
				RuleIndex  int
				Level      string
				Message    struct{ Text string }
				Properties struct{ Severity string }
				// On every result or on none (3.27.23): what counts has an empty list.
				Suppressions []struct{ Kind, Justification string }
				Locations    []struct {
					PhysicalLocation *struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine int }
					}
					LogicalLocations []struct{ Name string }
				}
			}
		}
	}
	d := json.NewDecoder(strings.NewReader(r.stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("%v:\n%s", err, r.stdout)
	}
	if got.Version != "2.1.0" || !strings.HasSuffix(got.Schema, "/sarif-schema-2.1.0.json") || len(got.Runs) != 1 || got.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("version %q, schema %q, %d runs", got.Version, got.Schema, len(got.Runs))
	}
	rules, results := got.Runs[0].Tool.Driver.Rules, got.Runs[0].Results
	seen := map[string]bool{}
	for _, rule := range rules {
		if seen[rule.ID] || rule.ID == "" || rule.ShortDescription.Text == "" || rule.FullDescription.Text == "" || !strings.HasPrefix(rule.HelpURI, "https://") ||
			!slices.Contains([]string{"note", "warning", "error"}, rule.DefaultConfiguration.Level) || rule.Properties.SecuritySeverity == "" {
			t.Errorf("rule %+v", rule)
		}
		seen[rule.ID] = true
	}
	if len(rules) < 50 || len(results) != 11+asRoot() {
		t.Errorf("%d rules, %d results", len(rules), len(results))
	}
	levels := map[string]string{"critical": "error", "high": "error", "medium": "warning", "low": "note"}
	at := map[string]int{}
	for _, result := range results {
		if !seen[result.RuleID] || rules[result.RuleIndex].ID != result.RuleID || result.Message.Text == "" || levels[result.Properties.Severity] != result.Level || len(result.Locations) != 1 || result.Suppressions == nil || len(result.Suppressions) != 0 {
			t.Errorf("result %+v", result)
			continue
		}
		place := result.Locations[0]
		if place.PhysicalLocation == nil || place.PhysicalLocation.ArtifactLocation.URI != "deploy%20it/merlon.yaml" {
			t.Errorf("%s is at %+v", result.RuleID, place.PhysicalLocation)
			continue
		}
		if region := place.PhysicalLocation.Region; region != nil {
			at[result.RuleID] = region.StartLine
		} else if len(place.LogicalLocations) != 1 {
			t.Errorf("%s is nowhere", result.RuleID)
		} else if result.RuleID == "merlon.E014" && place.LogicalLocations[0].Name != "MERLON_SECRET_KEY_PREVIOUS" {
			t.Errorf("%s is at %+v", result.RuleID, place.LogicalLocations)
		}
	}
	if at["merlon.E003"] != 6 || at["merlon.W022"] != 4 || at["merlon.W001"] != 5 || len(at) != 4 {
		t.Errorf("lines %v", at)
	}
	outside := write(t, t.TempDir(), "merlon.yaml", judged)
	r = run(t, merlon("check", "--format", "sarif", "--config", outside).in(dir))
	if !strings.Contains(r.stdout, `"uri": "file://`+outside+`"`) {
		t.Errorf("a file elsewhere is not named by a URI:\n%s", r.stdout)
	}
	if r = run(t, merlon("check", "--format", "sarif").with("MERLON_ENVIRONMENT=development")); !strings.Contains(r.stdout, `"results": []`) {
		t.Errorf("nothing found:\n%s", r.stdout)
	}
}

// dayIn is a day so many days from now: a silence is good for a year at most.
func dayIn(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }

func silence(id, reason, until string) string {
	return fmt.Sprintf("    - {id: merlon.%s, reason: %q, until: %s}\n", id, reason, until)
}

func TestCheckShowsWhatIsSilencedAndDoesNotFail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const list = "check:\n  silence:\n"
	const long = behindProxy + "sessions: {absolute_timeout: 48h}\n" + list
	until := dayIn(30)
	silenced := write(t, dir, "silenced.yaml", long+silence("W022", "a kiosk, says Ada", until))
	check := func(args ...string) result {
		return run(t, merlon(append([]string{"check"}, args...)...).in(dir).with(keyInEnvironment))
	}

	r := check("--config", silenced)
	if r.code != 0 || !strings.Contains(r.stdout, "\nmedium    merlon.W022  "+silenced+":3\n          Silenced until "+until+": a kiosk, says Ada\n          sessions.absolute_timeout: ") ||
		!strings.HasSuffix(r.stdout, ", 1 silenced: none fails.\n") || strings.LastIndex(r.stdout, "merlon.W0") != strings.Index(r.stdout, "merlon.W022") {
		t.Errorf("exit %d:\n%s", r.code, r.stdout)
	}
	if r = check("--config", silenced, "--fail-on", "low"); r.code != 1 {
		t.Errorf("the low ones still count: exit %d:\n%s", r.code, r.stdout)
	}

	r = check("--config", silenced, "--format", "json")
	var got struct {
		Failed   bool
		Silenced int
		Counts   map[string]int
		Findings []struct {
			ID       string
			Silenced *struct{ Reason, Until string }
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("%v:\n%s", err, r.stdout)
	}
	if r.code != 0 || got.Failed || got.Silenced != 1 || got.Counts["medium"] != 0 {
		t.Errorf("exit %d: %+v", r.code, got)
	}
	for _, f := range got.Findings {
		if want := f.ID == "merlon.W022"; (f.Silenced != nil) != want || want && (f.Silenced.Reason != "a kiosk, says Ada" || f.Silenced.Until != until) {
			t.Errorf("%s: %+v", f.ID, f.Silenced)
		}
	}

	r = check("--config", silenced, "--format", "sarif")
	for _, part := range []string{`"suppressions": []`, `"kind": "inSource"`, `"justification": "a kiosk, says Ada (until ` + until + `)"`} {
		if r.code != 0 || !strings.Contains(r.stdout, part) {
			t.Errorf("exit %d, no %s", r.code, part)
		}
	}

	// Its nearest neighbours: no silence, one that ended yesterday, one of something else,
	// one that is too long, and one of an error.
	for name, row := range map[string]struct {
		file, want string
		code       int
	}{
		"none":                  {strings.TrimSuffix(long, list), "merlon.W022", 1},
		"expired":               {long + silence("W022", "a kiosk", dayIn(-1)), "that has expired)", 1},
		"of something else":     {long + silence("W021", "a kiosk", until), "merlon.W047", 1},
		"for more than a year":  {long + silence("W022", "a kiosk", dayIn(400)), "merlon.E151", 1},
		"of an error":           {long + silence("E008", "a kiosk", until), "merlon.E150", 1},
		"of what is not there":  {behindProxy + list + silence("W022", "a kiosk", until), "merlon.W047", 0},
		"of a critical finding": {long + silence("W030", "a kiosk", until), "merlon.E150", 1},
		"of what there is not":  {long + silence("W999", "a kiosk", until), "merlon.E150", 1},
	} {
		file := write(t, dir, strings.ReplaceAll(name, " ", "-")+".yaml", row.file)
		if r := check("--config", file); r.code != row.code || !strings.Contains(r.stdout, row.want) {
			t.Errorf("%s: exit %d, want %d and %s:\n%s", name, r.code, row.code, row.want, r.stdout)
		}
	}
}

// What is silenced is one line of the log at each start, whatever its severity.
func TestAStartLogsWhatIsSilenced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	until := dayIn(30)
	config := write(t, dir, "merlon.yaml", behindProxy+"sessions: {absolute_timeout: 48h}\ncheck:\n  silence:\n"+
		silence("W022", "a kiosk, says Ada", until)+silence("W028", "a contact is coming", until))
	r := startService(t, merlon("--config", config).in(dir).with(keyInEnvironment)).stop()
	for id, reason := range map[string]string{"merlon.W022 severity=medium": `"a kiosk, says Ada"`, "merlon.W028 severity=low": `"a contact is coming"`} {
		n := 0
		for _, line := range lines(r.stderr) {
			if strings.Contains(line, `msg="a finding is silenced" id=`+id+" ") && strings.HasSuffix(line, "until="+until+" reason="+reason) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d lines about %s:\n%s", n, id, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "merlon.W022 medium ") {
		t.Errorf("it is told as if it counted:\n%s", r.stderr)
	}
}

// A critical finding stops a start in production, and nothing is made.
func TestCriticalFindingsStopAStartInProduction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", behindProxy)
	chmod(t, config, 0o606)
	r := run(t, merlon("serve", "--listen", "127.0.0.1:0", "--config", config).in(dir).with(keyInEnvironment))
	if r.code != 2 || !strings.HasPrefix(r.stderr, "merlon.W030 critical "+config+": ") {
		t.Errorf("exit %d, want 2 and merlon.W030:\n%s", r.code, r.stderr)
	}
	if made := names(t, dir); len(made) != 1 {
		t.Errorf("it made %v", made)
	}
	// Its nearest neighbours: one bit less, and findings that are not critical.
	chmod(t, config, 0o604)
	s := startService(t, merlon("--config", config).in(dir).with(keyInEnvironment, "MERLON_SESSIONS__ABSOLUTE_TIMEOUT=48h"))
	if r := s.stop(); !strings.Contains(r.stderr, "merlon.W022 medium MERLON_SESSIONS__ABSOLUTE_TIMEOUT: ") || strings.Contains(r.stderr, "merlon.W004") {
		t.Errorf("want the medium finding and not the low ones:\n%s", r.stderr)
	}
	// In development it starts.
	chmod(t, write(t, dir, "dev.yaml", "environment: development\n"), 0o606)
	startService(t, merlon("--config", filepath.Join(dir, "dev.yaml")).in(dir)).stop()
}

// A certificate is judged by check as serve judges it.
func TestCheckLooksAtTheCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "merlon.yaml", productionTLS)
	check := func(want int, id string) {
		t.Helper()
		r := run(t, merlon("check", "--config", config).in(dir))
		if r.code != want || id != "" && !strings.Contains(r.stdout, id) {
			t.Errorf("exit %d, want %d and %q:\n%s", r.code, want, id, r.stdout)
		}
	}
	check(1, "merlon.E052")
	certificate(t, dir)
	check(0, "")
	chmod(t, filepath.Join(dir, "key.pem"), 0o644)
	check(1, "merlon.W031")
	swapKey(t, dir)
	check(1, "merlon.E052")
}
