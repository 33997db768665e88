package findings_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server/internal/findings"
)

// silences are check of entries "id until", for one reason.
func silences(entries ...string) string {
	var list []string
	for _, e := range entries {
		id, until, _ := strings.Cut(e, " ")
		list = append(list, fmt.Sprintf("{id: merlon.%s, reason: \"the kiosk, by Ada\", until: %s}", id, until))
	}
	return "{silence: [" + strings.Join(list, ", ") + "]}"
}

// The day of the tests is 1 March 2026.
func TestASilencedFindingIsShownLastWithItsReasonAndDay(t *testing.T) {
	w := newWorld(t).set("sessions", "{absolute_timeout: 48h}").set("password", "{min_length: 14}").set("check", silences("W022 2026-03-01"))
	found := w.check()
	if got := idsOf(found); got != "merlon.W004 merlon.W022" {
		t.Fatal(lines(found))
	}
	if s := found[1].Silenced; s == nil || *s != (findings.Silence{Reason: "the kiosk, by Ada", Until: "2026-03-01"}) || found[0].Silenced != nil || found[1].Severity != findings.Medium {
		t.Errorf("%+v", found)
	}
}

// On its last day a silence holds, and on the next it does not.
func TestAnExpiredSilenceCountsAgainAndSaysSo(t *testing.T) {
	for until, silenced := range map[string]bool{"2026-03-01": true, "2026-02-28": false} {
		found := newWorld(t).set("sessions", "{absolute_timeout: 48h}").set("check", silences("W022 "+until)).check()
		if got := idsOf(found); got != "merlon.W022" {
			t.Fatalf("%s: %s", until, lines(found))
		}
		expired := strings.Contains(found[0].Message, "was silenced until "+until+": that has expired")
		if (found[0].Silenced != nil) != silenced || expired == silenced {
			t.Errorf("%s: %+v", until, found[0])
		}
	}
}

func TestASilenceIsForAYearAtMost(t *testing.T) {
	sessions := func() *world { return newWorld(t).set("sessions", "{absolute_timeout: 48h}") }
	if found := sessions().set("check", silences("W022 2027-03-02")).check(); idsOf(found) != "merlon.W022" || found[0].Silenced == nil {
		t.Error(lines(found))
	}
	found := sessions().set("check", silences("W022 2027-03-03")).check()
	if idsOf(found) != "merlon.E151 merlon.W022" || found[1].Silenced != nil || !strings.HasSuffix(found[0].Where, ":2") || !findings.Stops(found[0], "production") {
		t.Error(lines(found))
	}
}

func TestWhatCannotBeSilenced(t *testing.T) {
	for id, row := range map[string]struct {
		why  string
		make func(*world)
	}{
		"W999": {"there is no finding", func(*world) {}},
		"W039": {"critical", func(w *world) { w.set("insecure_shadow", "{controls: [authn], reason: trying}") }},
		"W047": {"about silences", func(*world) {}},
	} {
		w := newWorld(t).set("check", silences(id+" 2026-03-02"))
		row.make(w)
		found := w.check()
		if len(found) == 0 || found[0].ID != "merlon.E150" || !strings.Contains(found[0].Message, row.why) {
			t.Errorf("%s: %s", id, lines(found))
		}
		for _, f := range found {
			if f.Silenced != nil || f.ID == "merlon.W047" {
				t.Errorf("%s: %+v", id, f)
			}
		}
	}
}

// A silence of what is not looked for, here or in these settings, is not idle.
func TestASilenceIsIdleOnlyWhenItsFindingWasLookedFor(t *testing.T) {
	w := newWorld(t).set("check", "\n  silence:\n    - {id: merlon.W022, reason: why, until: 2026-02-01}\n")
	found := w.check()
	if idsOf(found) != "merlon.W047" || found[0].Where != filepath.Join(w.dir, "merlon.yaml")+":4" || !strings.Contains(found[0].Message, "merlon.W022, and it has expired") {
		t.Error(lines(found))
	}
	newWorld(t).set("environment", "development").set("check", silences("W022 2026-03-02")).want("", 0)
	newWorld(t).set("sessions", "{absolute_timeout: 1s}").set("check", silences("W022 2026-03-02")).want("merlon.E008", 1)
	// What package config finds is silenced as well.
	found = newWorld(t).set("rate_limits", limits(login, account)).set("check", silences("W001 2026-03-02")).check()
	if idsOf(found) != "merlon.W001" || found[0].Silenced == nil {
		t.Error(lines(found))
	}
}

func TestASilenceOfTwoPlacesSilencesBoth(t *testing.T) {
	w := newWorld(t).set("origins", `["https://localhost:3000", "https://10.0.0.1"]`).set("check", silences("W009 2026-03-02"))
	found := w.check()
	if idsOf(found) != "merlon.W009 merlon.W009" || found[0].Silenced == nil || found[1].Silenced == nil {
		t.Error(lines(found))
	}
}
