package server

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/config"
)

func TestAServerWaitsForAnEventLogThatIsGivenBack(t *testing.T) {
	set := config.Settings{Audit: config.Audit{Log: filepath.Join(t.TempDir(), "security.log"), MaxSizeMiB: 1, Keep: 1}}
	taken, err := audit.NewFile(audit.FileConfig{Path: set.Audit.Log})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openLog(ended, set); !errors.Is(err, audit.ErrInUse) {
		t.Errorf("of a start that was called off: %v", err)
	}
	if _, err := openLog(t.Context(), set); !errors.Is(err, audit.ErrInUse) {
		t.Errorf("of a log that is kept: %v", err)
	}
	time.AfterFunc(2*logRetry, func() { _ = taken.Close() })
	file, err := openLog(t.Context(), set)
	if err != nil {
		t.Fatalf("of a log that is given back: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}
