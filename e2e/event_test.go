package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// wantEvent is an event that the request of an answer must have left. A text of
// "*" stands for any.
type wantEvent struct {
	of               *answer
	typ              string
	category         string
	severity         string
	outcome          string
	principal, route string
	// detail holds members of detail that must be there with this value.
	detail object
}

// members are those of an event in the API: no more and no less.
var members = []string{"id", "time", "type", "category", "severity", "outcome", "request_id", "address", "principal", "route", "detail"}

var (
	eventIDs = regexp.MustCompile(`^evt_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	// API.md, Events.
	categories = []string{"authentication", "rate_limit", "suspicious_activity", "authorization", "session", "api_key", "account", "system"}
	severities = []string{"info", "low", "medium", "high", "critical"}
	outcomes   = []string{"success", "failure", "refused", "would_refuse"}
)

// log returns the lines of the event log that are whole.
func (s *server) log(t *testing.T) []object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "security.log"))
	if err != nil {
		t.Fatal(err)
	}
	var out []object
	lines := bufio.NewScanner(bytes.NewReader(text[:bytes.LastIndexByte(text, '\n')+1]))
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		var line object
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("security.log: %v: %s", err, lines.Bytes())
		}
		if severity, _ := line["severity"].(string); line["type"] == nil || !slices.Contains(severities, severity) {
			t.Fatalf("security.log: a line without type or severity: %s", lines.Bytes())
		}
		out = append(out, line)
	}
	return out
}

// find returns the line that w asks for, or nil.
func (w wantEvent) find(lines []object) object {
	for _, line := range lines {
		if line["request_id"] == w.of.header.Get("X-Request-Id") && line["type"] == w.typ && holds(line["detail"], w.detail) {
			return line
		}
	}
	return nil
}

func holds(got any, want object) bool {
	detail, _ := got.(object)
	for k, v := range want {
		if !reflect.DeepEqual(detail[k], v) {
			return false
		}
	}
	return true
}

// wantEvents checks that the events are in the file and, the same, in the API.
func (s *server) wantEvents(t *testing.T, want ...wantEvent) {
	t.Helper()
	found := make([]object, len(want))
	for end := deadline(); ; time.Sleep(20 * time.Millisecond) {
		lines, missing := s.log(t), 0
		for i, w := range want {
			if found[i] = w.find(lines); found[i] == nil {
				missing++
			}
		}
		if missing == 0 || time.Now().After(end) {
			break
		}
	}
	for i, w := range want {
		if found[i] == nil {
			t.Errorf("%s %s (%d): no event %s %v in the file; of this request there are %s",
				w.of.method, w.of.path, w.of.status, w.typ, w.detail, s.of(t, w.of))
			continue
		}
		w.check(t, found[i])
	}
	admin := s.asAdmin(t)
	shown := map[any]object{}
	addresses := map[string]bool{}
	for _, w := range want {
		addresses[w.of.address] = true
	}
	for end := deadline(); ; time.Sleep(50 * time.Millisecond) {
		for address := range addresses { // of one client each, so that it is a short list
			for _, e := range admin.all(t, "/api/v1/events?address="+address, 100) {
				shown[e["id"]] = e
			}
		}
		complete := true
		for _, line := range found {
			complete = complete && (line == nil || shown[line["id"]] != nil)
		}
		if complete || time.Now().After(end) {
			break
		}
	}
	for i, line := range found {
		if line == nil {
			continue
		}
		got := shown[line["id"]]
		if got == nil {
			t.Errorf("%s %s: the event %s is in the file, but not in the API", want[i].of.method, want[i].of.path, want[i].typ)
			continue
		}
		if len(got) != len(members) {
			t.Errorf("an event of the API has %d members, want %q: %v", len(got), members, got)
		}
		for _, name := range members {
			if !reflect.DeepEqual(got[name], line[name]) {
				t.Errorf("event %s: %s is %v in the API and %v in the file", want[i].typ, name, got[name], line[name])
			}
		}
	}
}

// check checks the members of a line.
func (w wantEvent) check(t *testing.T, line object) {
	t.Helper()
	for name, value := range map[string]string{
		"category": w.category, "severity": w.severity, "outcome": w.outcome, "principal": w.principal, "route": w.route, "address": w.of.address,
	} {
		if got, ok := line[name].(string); !ok || value != "*" && got != value {
			t.Errorf("%s %s (%d): event %s: %s is %v, want %q", w.of.method, w.of.path, w.of.status, w.typ, name, line[name], value)
		}
	}
	id, _ := line["id"].(string)
	at, _ := line["time"].(string)
	when, err := time.Parse(time.RFC3339Nano, at)
	switch {
	case !eventIDs.MatchString(id):
		t.Errorf("event %s: id is %q", w.typ, id)
	case err != nil || !strings.HasSuffix(at, "Z"):
		t.Errorf("event %s: time is %q", w.typ, at)
	case when.Before(w.of.sent.Add(-time.Second)) || when.After(w.of.came.Add(time.Second)):
		t.Errorf("event %s: time is %s, want about %s", w.typ, when, w.of.sent)
	case !slices.Contains(categories, text(line["category"])) || !slices.Contains(severities, text(line["severity"])) ||
		!slices.Contains(outcomes, text(line["outcome"])):
		t.Errorf("event %s has words that the contract does not have: %v", w.typ, line)
	}
}

// of returns the types of the events of a request, for messages.
func (s *server) of(t *testing.T, a *answer) []string {
	t.Helper()
	var out []string
	for _, line := range s.log(t) {
		if line["request_id"] == a.header.Get("X-Request-Id") {
			text, _ := json.Marshal(line["detail"])
			out = append(out, line["type"].(string)+" "+line["outcome"].(string)+" "+string(text))
		}
	}
	return out
}

// settled returns the types of the events of a request once all that is to come
// has come: events are written in order, so those of a later request tell.
func (s *server) settled(t *testing.T, a *answer) []string {
	t.Helper()
	later := s.client(t).do(t, "GET", "/api/v1/users/me", nil).wantProblem(t, 401, "unauthenticated")
	for end := deadline(); ; time.Sleep(20 * time.Millisecond) {
		if len(s.of(t, later)) > 0 {
			return s.of(t, a)
		}
		if time.Now().After(end) {
			t.Fatal("the event of a refused request did not come")
		}
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// toText returns v as JSON, to search in.
func toText(v any) string {
	text, _ := json.Marshal(v) // v came from JSON
	return string(text)
}
