package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server"
)

// `users create` holds the log file for a moment, which may be the one in which the
// server starts.
func TestAStartWaitsForALogFileThatIsHeldForAMoment(t *testing.T) {
	t.Parallel()
	for name, moment := range map[string]bool{"for a moment": true, "for good": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
				t.Fatal(err)
			}
			held, err := audit.NewFile(audit.FileConfig{Path: filepath.Join(dir, "logs", "security.log")})
			if err != nil {
				t.Fatal(err)
			}
			if moment {
				time.AfterFunc(200*time.Millisecond, func() { _ = held.Close() })
			} else {
				defer held.Close()
			}
			srv, err := server.New(t.Context(), server.Config{Settings: settings(t, dir, "MERLON_ENVIRONMENT=development"), Log: quiet})
			if moment && err == nil {
				err = srv.Close()
			}
			if moment && err != nil || !moment && !errors.Is(err, audit.ErrInUse) {
				t.Errorf("error %v", err)
			}
		})
	}
}
