package findings_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/internal/findings"
)

var update = flag.Bool("update", false, "write the page that a test compares")

// docs/checks.md is what the code says. Write it anew with
// go test ./server/internal/findings -run TestTheChecksPage -update
func TestTheChecksPageIsTheCode(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Checks\n\n" +
		"What `merlon check` and `merlon serve` say about settings. Errors (E) stop every start; findings (W)\n" +
		"are told, and those of severity critical stop a start in production. How to run a check stands in\n" +
		"[operating.md](operating.md#check), every setting in [settings.md](settings.md).\n\n" +
		"low: better otherwise. medium: a control is weaker than it seems. high: a control can be passed.\n" +
		"critical: the service must not be started like this.\n")
	for _, d := range findings.Docs() {
		fmt.Fprintf(&b, "\n### %s\n\n%s: **%s.** %s\n", d.ID, strings.ToUpper(string(d.Severity[:1]))+string(d.Severity[1:]), d.Title, d.Why)
		if len(d.About) > 0 {
			fmt.Fprintf(&b, "About `%s`.\n", strings.Join(d.About, "`, `"))
		}
	}
	const page = "../../../docs/checks.md"
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s is not what the code says: run this test with -update", page)
	}
	// The links lead to its headings.
	for _, d := range findings.Docs() {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(d.ID), "") // as GitHub makes it
		if want := "https://github.com/merlonhq/merlon/blob/main/docs/checks.md#" + anchor; findings.Help(d.ID) != want {
			t.Errorf("%s: the link is %s, want %s", d.ID, findings.Help(d.ID), want)
		}
	}
}

func TestIDsAreUniqueAndComplete(t *testing.T) {
	known := map[string]bool{}
	for _, s := range config.Reference() {
		known[s.Name] = true
	}
	seen := map[string]bool{}
	found := 0
	for _, d := range findings.Docs() {
		if seen[d.ID] || !regexp.MustCompile(`^merlon\.[EW]\d{3}$`).MatchString(d.ID) || d.Title == "" || d.Why == "" || d.Severity == "" {
			t.Errorf("%+v is there twice or incomplete", d)
		}
		seen[d.ID] = true
		for _, name := range d.About {
			if !known[name] {
				t.Errorf("%s is about %s, which is no setting", d.ID, name)
			}
		}
		if d.ID[len("merlon.")] == 'W' {
			found++
		} else if d.Severity != findings.Critical {
			t.Errorf("%s is an error and %s", d.ID, d.Severity)
		}
	}
	if found < 20 {
		t.Errorf("%d findings", found)
	}
}

func TestSeveritiesAreInOrder(t *testing.T) {
	all := findings.Severities()
	for i, s := range all {
		for j, floor := range all {
			if s.AtLeast(floor) != (i >= j) {
				t.Errorf("%s at least %s: %v", s, floor, i < j)
			}
		}
	}
	if !findings.Severity("unheard of").AtLeast(findings.Critical) {
		t.Error("what is no severity passes for a harmless one")
	}
}

func TestWhatStopsAStart(t *testing.T) {
	for _, row := range []struct {
		f           findings.Finding
		environment string
		want        bool
	}{
		{findings.Finding{ID: "merlon.W030", Severity: findings.Critical}, config.Production, true},
		{findings.Finding{ID: "merlon.W030", Severity: findings.High}, config.Production, false},
		{findings.Finding{ID: "merlon.W030", Severity: findings.Critical}, config.Development, false},
		{findings.Finding{ID: "merlon.E003", Severity: findings.Critical}, config.Development, true},
		{findings.Finding{ID: "merlon.E003", Severity: findings.Critical}, config.Production, true},
	} {
		if got := findings.Stops(row.f, row.environment); got != row.want {
			t.Errorf("%+v in %s: %v", row.f, row.environment, got)
		}
	}
}
