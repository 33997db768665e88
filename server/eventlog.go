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

// logFile says where and how the event log is written: chained, and signed with a key
// that is made of the secret key.
func logFile(set config.Settings) audit.FileConfig {
	a := set.Audit
	return audit.FileConfig{
		Path: a.Log, MaxSizeMiB: a.MaxSizeMiB, Keep: a.Keep, MaxAge: a.MaxAge, KeepFor: a.KeepFor, Compress: a.Compress,
		ChainSecret: []byte(set.SecretKey.Reveal()), CheckpointInterval: a.CheckpointInterval,
	}
}

// privacy returns how clients and accounts stand in events.
func privacy(set config.Settings) (*audit.Privacy, error) {
	return audit.NewPrivacy(audit.PrivacyConfig{
		Addresses: audit.Form(set.Audit.Addresses), Names: audit.Form(set.Audit.Names), Secret: []byte(set.SecretKey.Reveal()),
	})
}

// waits are how long a request waits for room in a full queue of events.
func waits(a config.Audit) map[audit.Category]time.Duration {
	waits := map[audit.Category]time.Duration{}
	for _, c := range a.WaitFor {
		waits[audit.Category(c)] = a.Wait
	}
	return waits
}

// spools are the categories that wait on disk for a sink that is away.
func spools(a config.Audit) []audit.Category {
	list := []audit.Category{} // none is not all
	for _, c := range a.SpoolFor {
		list = append(list, audit.Category(c))
	}
	return list
}

// only is the filter of a sink, nil when it gets everything.
func only(f config.EventFilter) func(audit.Event) bool {
	if f.Everything() {
		return nil
	}
	return func(e audit.Event) bool { return f.Takes(string(e.Category), string(e.Severity), string(e.Outcome)) }
}

// openLog opens the event log. Whoever has it for longer is another server.
func openLog(ctx context.Context, set config.Settings) (*audit.File, error) {
	ctx, cancel := context.WithTimeout(ctx, logPatience)
	defer cancel()
	for {
		file, err := audit.NewFile(logFile(set))
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
