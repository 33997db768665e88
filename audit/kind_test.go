package audit_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
)

func paid() audit.KindConfig {
	return audit.KindConfig{Type: "invoice_paid", Category: audit.Account, Severity: audit.Low, Outcome: audit.Success, Description: "An invoice was paid."}
}

func TestAKindMakesEventsThatLackNothing(t *testing.T) {
	kind, err := audit.NewKind(paid())
	if err != nil {
		t.Fatal(err)
	}
	e := kind.Event("usr_1", slog.String("invoice", "inv_7"))
	e.ID, e.Time = "evt_1", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	line := audit.AppendJSON(nil, e)
	readSchema(t).checkLine(t, line)
	const want = `{"id":"evt_1","time":"2026-01-02T03:04:05.000000Z","type":"invoice_paid","category":"account","severity":"low",` +
		`"outcome":"success","request_id":"","address":"","principal":"usr_1","route":"","detail":{"invoice":"inv_7"},"appid":"merlon","description":"An invoice was paid."}`
	if string(line) != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
	if other := kind.Event("usr_2"); other.Principal != "usr_2" || len(other.Detail) > 0 {
		t.Errorf("the next event has something of the one before: %+v", other)
	}
}

func TestTheCategoryOfAKindFollowsFromItsTypeUnlessItSays(t *testing.T) {
	cfg := paid()
	cfg.Type, cfg.Category = "sensitive_read", ""
	kind, err := audit.NewKind(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := kind.Event("").Category; got != "account" {
		t.Errorf("category %q", got)
	}
}

func TestAWrongKindIsRefusedWithAllThatIsWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*audit.KindConfig)
		want   string
	}{
		"no type":                  {func(c *audit.KindConfig) { c.Type = "" }, "Type is"},
		"a type with a line break": {func(c *audit.KindConfig) { c.Type = "invoice\npaid" }, "Type is"},
		"a type in capitals":       {func(c *audit.KindConfig) { c.Type = "INVOICE_PAID" }, "Type is"},
		"a type that is too long":  {func(c *audit.KindConfig) { c.Type = audit.Type(strings.Repeat("a", 65)) }, "Type is"},
		"a type of Merlon's":       {func(c *audit.KindConfig) { c.Type = "authn_login_fail" }, "one of Merlon's own"},
		"an unknown category":      {func(c *audit.KindConfig) { c.Category = "money" }, "Category is"},
		"no severity":              {func(c *audit.KindConfig) { c.Severity = "" }, "Severity is"},
		"no outcome":               {func(c *audit.KindConfig) { c.Outcome = "" }, "Outcome is"},
		"no description":           {func(c *audit.KindConfig) { c.Description = "" }, "Description has 0 bytes"},
		"a long description":       {func(c *audit.KindConfig) { c.Description = strings.Repeat("a", 257) }, "Description has 257 bytes"},
	} {
		cfg := paid()
		tt.change(&cfg)
		if kind, err := audit.NewKind(cfg); kind != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	_, err := audit.NewKind(audit.KindConfig{})
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 4 { // the category follows from the type
		t.Errorf("the empty kind: %v", err)
	}
}

func TestALongTypeAndDescriptionAreStillGood(t *testing.T) {
	cfg := paid()
	cfg.Type, cfg.Description = audit.Type(strings.Repeat("a", 64)), strings.Repeat("a", 256)
	if _, err := audit.NewKind(cfg); err != nil {
		t.Error(err)
	}
}
