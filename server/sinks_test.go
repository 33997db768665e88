package server_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlonhq/merlon/server"
)

// The filter of one sink is not that of another, and what must be recorded before it
// happens every sink gets.
func TestEachSinkGetsWhatItsSettingsSay(t *testing.T) {
	dir := t.TempDir()
	set := withAda(t, settings(t, dir, "MERLON_ENVIRONMENT=development", "MERLON_LISTEN=127.0.0.1:0",
		"MERLON_AUDIT__FILE_ONLY__CATEGORIES=system,session", "MERLON_AUDIT__DATABASE_ONLY__OUTCOMES=failure,refused"))
	url, stop := serve(t, set)
	if status, body := post(t, url+"/api/v1/auth/token", withPassword("ada", "not her password")); status != 401 {
		t.Fatalf("status %d: %s", status, body)
	}
	tokens := obtain(t, url, withPassword("ada", adaPassword))
	if status := change(t, url, tokens.AccessToken); status != 204 {
		t.Fatalf("status %d", status)
	}
	stop()

	text, err := os.ReadFile(filepath.Join(dir, "logs", "security.log"))
	if err != nil {
		t.Fatal(err)
	}
	file := types(t, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
	store, err := server.OpenEvents(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	list, _, err := store.Query(t.Context(), server.EventFilter{}, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range list {
		lines = append(lines, string(e))
	}
	database := types(t, lines)
	for _, tt := range []struct {
		kind           string
		file, database bool
	}{
		{"authn_login_fail", false, true},
		{"authn_login_success", false, false},
		{"sys_startup", true, false},
		{"sys_shutdown", true, false},
		{"authn_password_change", true, true},
	} {
		if slices.Contains(file, tt.kind) != tt.file || slices.Contains(database, tt.kind) != tt.database {
			t.Errorf("%s: in the file %v, in the database %v", tt.kind, slices.Contains(file, tt.kind), slices.Contains(database, tt.kind))
		}
	}
}

// types returns the types of events.
func types(t *testing.T, lines []string) (list []string) {
	t.Helper()
	for _, line := range lines {
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, e.Type)
	}
	return list
}

// change changes the password of the owner of an access token, and returns the status.
func change(t *testing.T, url, access string) int {
	t.Helper()
	body := strings.NewReader(`{"current_password":"` + adaPassword + `","new_password":"barbican and bailey 8"}`)
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/api/v1/users/me/password", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+access)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// While the log takes nothing, what must be recorded first is refused, and everything else
// goes on; nobody has to restart the service when the log is mended.
func TestWhatCannotBeRecordedIsRefusedUntilTheLogIsMended(t *testing.T) {
	dir := t.TempDir()
	set := withAda(t, settings(t, dir, "MERLON_ENVIRONMENT=development", "MERLON_LISTEN=127.0.0.1:0"))
	url, stop := serve(t, set)
	tokens := obtain(t, url, withPassword("ada", adaPassword))
	path := filepath.Join(dir, "logs", "security.log")
	waitFor(t, path, `"type":"authn_token_created"`) // the last: nothing is written while the log is moved
	if err := errors.Join(os.Rename(path, path+".old"), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if status := change(t, url, tokens.AccessToken); status != 503 {
		t.Errorf("a change of password without a log: status %d, want 503", status)
	}
	if status, body := get(t, url+"/api/v1/users/me", tokens.AccessToken); status != 200 {
		t.Errorf("reading without a log: status %d: %s", status, body)
	}
	if status, body := post(t, url+"/api/v1/auth/token", withPassword("ada", "not her password")); status != 401 {
		t.Errorf("a failed login without a log: status %d: %s", status, body)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	var status int
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if status = change(t, url, tokens.AccessToken); status != 503 {
			break
		}
	}
	if status != 204 {
		t.Errorf("a change of password with a log again: status %d, want 204", status)
	}
	stop()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := types(t, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"))
	changes := 0
	for _, kind := range got {
		if kind == "authn_password_change" {
			changes++
		}
	}
	if changes != 1 || !slices.Contains(got, "authn_login_fail") || !slices.Contains(got, "sys_degraded") || !slices.Contains(got, "sys_recovered") {
		t.Errorf("the log tells of %d changes, want the one that was made, the failed login that was kept, and its own failure: %q", changes, got)
	}
}
