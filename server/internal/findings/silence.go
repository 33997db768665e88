package findings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

// A Silence says why a finding is borne, and until which day.
type Silence struct {
	Reason string
	Until  string // "2027-01-31", the last day, in UTC
}

// staleSilence is the finding about silences, which none can silence.
const staleSilence = "merlon.W047"

// Quiet silences findings as check.silence says. A silence that has expired silences
// nothing, and the finding says so. Critical findings are never silenced.
func Quiet(found []Finding, silences []config.Silence, now time.Time) {
	for i := range found {
		f := &found[i]
		k := slices.IndexFunc(silences, func(s config.Silence) bool { return s.ID == f.ID })
		if k < 0 || f.Severity == Critical || f.ID == staleSilence || isError(f.ID) {
			continue
		}
		s := silences[k]
		switch {
		case tooLong(s, now):
		case now.Before(s.Ends()):
			f.Silenced = &Silence{s.Reason, s.Until}
		default:
			f.Message += fmt.Sprintf(" (it was silenced until %s: that has expired)", s.Until)
		}
	}
}

func tooLong(s config.Silence, now time.Time) bool {
	return s.Ends().After(now.AddDate(0, 0, config.SilenceFor+1))
}

// wrongSilences returns what is wrong with check.silence.
func (s *subject) wrongSilences() []config.Problem {
	if s.Places.Bad("check.silence") {
		return nil
	}
	var out []config.Problem
	for i, one := range s.set.Check.Silence {
		where := s.Places.Where(entry("check.silence", i))
		switch k := slices.IndexFunc(Docs(), func(d Doc) bool { return d.ID == one.ID }); {
		case k < 0:
			out = append(out, config.SilenceRefused(where, "there is no finding "+one.ID, "write an id that merlon check has told"))
		case one.ID == staleSilence:
			out = append(out, config.SilenceRefused(where, one.ID+" is about silences", "remove the silence that it tells of"))
		case Docs()[k].Severity == Critical:
			out = append(out, config.SilenceRefused(where, one.ID+" is critical, and those cannot be silenced", "correct what it tells of"))
		case tooLong(one, s.Now):
			out = append(out, config.SilenceTooLong(where, fmt.Sprintf("the silence of %s ends on %s, in more than a year", one.ID, one.Until),
				"write a day until "+s.Now.UTC().AddDate(0, 0, config.SilenceFor).Format(time.DateOnly)))
		}
	}
	return out
}

// idleSilences returns the silences of findings that were looked for and not found.
func (s *subject) idleSilences(found []Finding) []hit {
	var out []hit
	for i, one := range s.set.Check.Silence {
		k := slices.IndexFunc(rows(), func(r row) bool { return r.id == one.ID })
		if k < 0 || !s.judges(rows()[k]) || rows()[k].severity == Critical || one.ID == staleSilence {
			continue
		}
		if slices.ContainsFunc(found, func(f Finding) bool { return f.ID == one.ID }) {
			continue
		}
		message := "nothing is found that it silences: " + one.ID
		if !s.Now.Before(one.Ends()) {
			message += ", and it has expired"
		}
		out = append(out, s.at(entry("check.silence", i), message, "remove it")...)
	}
	return out
}

// judges reports whether the row is about the settings as they are.
func (s *subject) judges(r row) bool {
	return (r.in == nil || r.in(s.set.Environment)) && !slices.ContainsFunc(r.about, s.Places.Bad)
}

// String returns the silence as one line says it.
func (s Silence) String() string {
	return "silenced until " + s.Until + ": " + strings.TrimSpace(s.Reason)
}
