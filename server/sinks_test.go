package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	change(t, url, tokens.AccessToken)
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

// change changes the password of the owner of an access token.
func change(t *testing.T, url, access string) {
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
	if resp.StatusCode != 204 {
		t.Fatalf("status %d", resp.StatusCode)
	}
}
