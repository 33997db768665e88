package config_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server/internal/config"
)

func TestASilenceIsPrintedAndReadBack(t *testing.T) {
	s, problems := load(production("check: {silence: [{id: merlon.W022, reason: \"a kiosk: it stays\", until: 2027-01-31}, {id: merlon.W021, reason: yes-men, until: 2027-02-01}]}"))
	wantIDs(t, problems)
	again, problems := reload(s)
	wantIDs(t, problems)
	if diff := equal(s, again); diff != "" || len(again.Check.Silence) != 2 {
		t.Errorf("%s\n%s", diff, s.YAML())
	}
	text, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Check struct{ Silence []config.Silence }
	}
	if err := json.Unmarshal(text, &got); err != nil || len(got.Check.Silence) != 2 || got.Check.Silence[0] != s.Check.Silence[0] {
		t.Errorf("%v: %+v", err, got)
	}
}

// The last day counts, whole, in UTC.
func TestASilenceEndsWithItsLastDay(t *testing.T) {
	if got, want := (config.Silence{Until: "2027-02-28"}).Ends(), time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("ends at %v, want %v", got, want)
	}
}
