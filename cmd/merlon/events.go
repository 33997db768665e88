package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/merlonhq/merlon/server"
)

type eventsCommand struct {
	Tail      eventsTailCommand      `cmd:"" help:"Print the last events of the log, and those that come."`
	Query     eventsQueryCommand     `cmd:"" help:"Print events of the database, newest first."`
	Stats     eventsStatsCommand     `cmd:"" help:"Count events by type over time."`
	Verify    eventsVerifyCommand    `cmd:"" help:"Say whether files of an event log are what was written: exit 0 if they are, 1 if not."`
	PublicKey eventsPublicKeyCommand `cmd:"" name:"public-key" help:"Print the public keys that the checkpoints of this node are verified with."`
}

// shownEvent is what a line for people shows of an event.
type shownEvent struct {
	Time      string          `json:"time"`
	Type      string          `json:"type"`
	Severity  string          `json:"severity"`
	Outcome   string          `json:"outcome"`
	Address   string          `json:"address"`
	Principal string          `json:"principal"`
	Route     string          `json:"route"`
	Detail    json.RawMessage `json:"detail"`
}

// eventPrinter prints events: as they are, or as lines for people.
type eventPrinter struct {
	w        io.Writer
	json     bool
	coloured bool
}

func newEventPrinter(w io.Writer, asJSON bool) eventPrinter {
	return eventPrinter{w, asJSON, isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (p eventPrinter) print(raw []byte) error {
	if p.json {
		_, err := fmt.Fprintf(p.w, "%s\n", raw)
		return err
	}
	var e shownEvent
	if err := json.Unmarshal(raw, &e); err != nil {
		_, err := fmt.Fprintf(p.w, "(not an event) %s\n", plain(string(raw)))
		return err
	}
	when, _, _ := strings.Cut(e.Time, ".")
	severity := fmt.Sprintf("%-8s", plain(e.Severity))
	if code := colours[e.Severity]; p.coloured && code != "" {
		severity = "\x1b[" + code + "m" + severity + "\x1b[0m"
	}
	var rest []string
	for _, s := range []string{e.Address, e.Principal, e.Route} {
		if s != "" {
			rest = append(rest, s)
		}
	}
	if string(e.Detail) != "{}" && len(e.Detail) > 0 {
		rest = append(rest, string(e.Detail))
	}
	_, err := fmt.Fprintf(p.w, "%s  %s  %-29s %-12s %s\n", plain(when), severity, plain(e.Type), plain(e.Outcome), plain(strings.Join(rest, "  ")))
	return err
}

type eventsQueryCommand struct {
	Type     string `help:"Only events of this type, such as authn_login_fail."`
	Category string `help:"Only events of this category, such as suspicious_activity."`
	Outcome  string `help:"Only events of this outcome: success, failure, refused or would_refuse."`
	Subject  string `help:"Only events of this account." placeholder:"ID"`
	Address  string `help:"Only events of this address."`
	Since    string `help:"Only events of this time or later: RFC 3339, or a span before now such as 24h." placeholder:"TIME"`
	Until    string `help:"Only events before this time." placeholder:"TIME"`
	Limit    int    `help:"How many: 1 to 1000." default:"100"`
	Cursor   string `help:"Go on where an earlier query ended."`
	JSON     bool   `name:"json" help:"Print them as the API does, one a line."`
	Config   string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
}

func (eventsQueryCommand) examples() string {
	return `Examples:
  merlon events query --config merlon.yaml --category suspicious_activity --since 24h
  merlon events query --config merlon.yaml --type authn_login_fail --json

The database is read, while a server runs or not. Where there are more, the cursor to go
on with is told on standard error.

Exit codes: 0 done, 1 the database cannot be read, 2 when the command line or the
settings are wrong.
`
}

func (cmd eventsQueryCommand) Run(ctx context.Context, c console) error {
	now := time.Now()
	since, err := instant(cmd.Since, now)
	until, err2 := instant(cmd.Until, now)
	if err = errors.Join(err, err2); err == nil && (cmd.Limit < 1 || cmd.Limit > 1000) {
		err = fmt.Errorf("--limit is %d: must be 1 to 1000", cmd.Limit)
	}
	if err != nil {
		fmt.Fprintln(c.err, "merlon:", err)
		return exit(exitUsage)
	}
	return withEvents(ctx, c, cmd.Config, func(events *server.EventStore) error {
		found, next, err := events.Query(ctx, server.EventFilter{Type: cmd.Type, Category: cmd.Category, Outcome: cmd.Outcome,
			Subject: cmd.Subject, Address: cmd.Address, Since: since, Until: until}, cmd.Cursor, cmd.Limit)
		if err != nil {
			return err
		}
		p := newEventPrinter(c.out, cmd.JSON)
		for _, e := range found {
			if err := p.print(e); err != nil {
				return err
			}
		}
		if next != "" {
			fmt.Fprintln(c.err, "more: --cursor", next)
		}
		return nil
	})
}

// withEvents opens the events of the settings for f. What is wrong with the question is
// an error of the command line.
func withEvents(ctx context.Context, c console, file string, f func(*server.EventStore) error) error {
	set, err := settings(c, server.LoadSettings, server.Source{File: file})
	if err != nil {
		return err
	}
	events, err := server.OpenEvents(ctx, set)
	if err != nil {
		return err
	}
	err = errors.Join(f(events), events.Close())
	if errors.Is(err, server.ErrEventQuery) {
		fmt.Fprintln(c.err, "merlon:", err)
		return exit(exitUsage)
	}
	return err
}

// instant reads a time, or a span before now. Empty is the zero time.
func instant(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is no time: write it as 2026-01-02T15:04:05Z, or as a span before now such as 24h", plain(s))
	}
	return t, nil
}

type eventsStatsCommand struct {
	Since  string        `help:"From this time: RFC 3339, or a span before now." default:"24h" placeholder:"TIME"`
	Until  string        `help:"Until this time; now unless it is given." placeholder:"TIME"`
	Every  time.Duration `help:"The span of one count." default:"1h"`
	JSON   bool          `name:"json" help:"Print one object for each count, one a line, for a chart."`
	Config string        `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
}

func (eventsStatsCommand) examples() string {
	return `Examples:
  merlon events stats --config merlon.yaml
  merlon events stats --config merlon.yaml --since 168h --every 24h --json

Exit codes: 0 done, 1 the database cannot be read, 2 when the command line or the
settings are wrong.
`
}

func (cmd eventsStatsCommand) Run(ctx context.Context, c console) error {
	now := time.Now()
	since, err := instant(cmd.Since, now)
	until, err2 := instant(cmd.Until, now)
	if err = errors.Join(err, err2); err != nil {
		fmt.Fprintln(c.err, "merlon:", err)
		return exit(exitUsage)
	}
	if until.IsZero() {
		until = now
	}
	return withEvents(ctx, c, cmd.Config, func(events *server.EventStore) error {
		counts, err := events.Stats(ctx, since, until, cmd.Every)
		if err != nil {
			return err
		}
		if cmd.JSON {
			lines := json.NewEncoder(c.out)
			for _, n := range counts {
				if err := lines.Encode(n); err != nil {
					return err
				}
			}
			return nil
		}
		most := 1
		for _, n := range counts {
			most = max(most, n.Count)
		}
		const widest = 30
		for _, n := range counts {
			bar := strings.Repeat("#", max(1, n.Count*widest/most))
			if _, err := fmt.Fprintf(c.out, "%s  %-29s %8d  %s\n", n.Start.Format(time.RFC3339), plain(n.Type), n.Count, bar); err != nil {
				return err
			}
		}
		return nil
	})
}
