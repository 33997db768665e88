package server

import (
	"context"
	"errors"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server/internal/config"
)

// How long a server waits for its event log: a command beside it, such as users
// create, has it for the moment that it writes one event.
const (
	logPatience = 2 * time.Second
	logRetry    = 50 * time.Millisecond
)

// openLog opens the event log. Whoever has it for longer is another server.
func openLog(ctx context.Context, set config.Audit) (*audit.File, error) {
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	for {
		file, err := audit.NewFile(audit.FileConfig{Path: set.Log, MaxSizeMiB: set.MaxSizeMiB, Keep: set.Keep})
		if !errors.Is(err, audit.ErrInUse) {
			return file, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(logRetry):
		}
	}
}
