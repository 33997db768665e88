package findings

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// A Finding is one thing that is wrong, or weaker than it could be.
type Finding struct {
	ID       string // "merlon.W004", see Docs; errors of package config have theirs
	Severity Severity
	Where    string // "merlon.yaml:12", "MERLON_HOSTS", a file, or "settings" for a default
	Message  string // what was found
	Why      string // what it makes possible
	Fix      string // what to do
	// Silenced says that it is borne for a time, by check.silence; nil for what counts.
	Silenced *Silence
}

// Input is what is judged: what one [config.LoadPlaces] returned.
type Input struct {
	Settings config.Settings
	Places   config.Places
	Problems []config.Problem
	// File is the settings file; empty means none.
	File string
	// Environ are the variables of the process, "NAME=value". Nil means none.
	Environ []string
	// UID is the account that the process runs as; negative where there are none.
	UID int
	// OpenFiles is how many files the process may have open; 0 where that is not known.
	OpenFiles uint64
	// Now is the time that certificates are judged at. Zero means now.
	Now time.Time
}

// Check returns the problems of the load and every finding, the worst first and those
// that are silenced last. It
// reads the certificate and its key, and the modes of the files that are named.
// Where the file could not be read there is nothing to judge but that.
func Check(in Input) []Finding {
	var out []Finding
	for _, p := range in.Problems {
		out = append(out, Of(p))
	}
	if config.Parsed(in.Problems) {
		if in.Now.IsZero() {
			in.Now = time.Now()
		}
		s := &subject{Input: in, set: in.Settings}
		for _, p := range append(s.certificateProblems(), s.wrongSilences()...) {
			out = append(out, Of(p))
		}
		for _, r := range rows() {
			if !s.judges(r) {
				continue
			}
			var hits []hit
			switch {
			case r.id == staleSilence:
				hits = s.idleSilences(out) // it is the last row
			case r.find != nil:
				hits = r.find(s)
			}
			for _, h := range hits {
				out = append(out, Finding{ID: r.id, Severity: r.severity, Where: h.where, Message: h.message, Why: r.why, Fix: h.fix})
			}
		}
		if !in.Places.Bad("check.silence") {
			Quiet(out, in.Settings.Check.Silence, in.Now)
		}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		all := Severities()
		return cmp.Or(cmp.Compare(quiet(a), quiet(b)), cmp.Compare(slices.Index(all, b.Severity), slices.Index(all, a.Severity)), strings.Compare(a.ID, b.ID))
	})
	return out
}

// quiet is 1 for what is silenced.
func quiet(f Finding) int {
	if f.Silenced != nil {
		return 1
	}
	return 0
}

// Of returns a problem of the load as a finding: an error is critical.
func Of(p config.Problem) Finding {
	f := Finding{ID: p.ID, Severity: Critical, Where: p.Where, Message: p.Message, Fix: p.Fix}
	for _, d := range Docs() {
		if d.ID == p.ID {
			f.Severity, f.Why = d.Severity, d.Why
		}
	}
	return f
}

// Stops reports whether a service must not be started with f: an error anywhere,
// and in production what is critical.
func Stops(f Finding, environment string) bool {
	return isError(f.ID) || environment == config.Production && f.Severity == Critical
}

func isError(id string) bool { return strings.HasPrefix(id, "merlon.E") }

// A Doc explains one id.
type Doc struct {
	ID       string
	Severity Severity
	About    []string // the settings that it is about; none for errors of any setting
	Title    string
	Why      string
}

// Docs explains every id, errors first, in order.
func Docs() []Doc {
	var out []Doc
	for _, d := range config.Docs() {
		doc := Doc{ID: d.ID, Severity: Critical, Title: d.Title, Why: d.Explain}
		for _, r := range rows() {
			if r.id == d.ID {
				doc.Severity, doc.About = r.severity, r.about
			}
		}
		out = append(out, doc)
	}
	for _, r := range rows() {
		if r.title != "" {
			out = append(out, Doc{r.id, r.severity, r.about, r.title, r.why})
		}
	}
	slices.SortStableFunc(out, func(a, b Doc) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// page is where the ids are explained.
const page = "https://github.com/merlonhq/merlon/blob/main/docs/checks.md"

// Help returns the link that explains id.
func Help(id string) string {
	return page + "#" + strings.ToLower(strings.ReplaceAll(id, ".", ""))
}
