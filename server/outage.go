package server

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/internal/breaker"
	"github.com/merlonhq/merlon/server/internal/postgres"
)

// When the database counts as away, and how it is tried then.
const (
	databaseFailures = 3
	databaseProbe    = 250 * time.Millisecond
	databasePatience = 2 * time.Second // as a call has
)

// databaseBreaker keeps calls from a PostgreSQL that does not answer: they fail at once. SQLite has none, as it is a
// file of this machine: one that is locked is not away, and one that is damaged says so without waiting.
type databaseBreaker struct {
	*breaker.Breaker
	log    *slog.Logger
	record func(audit.Event)
	armed  atomic.Bool // before, start-up has a patience of its own
}

// errDatabaseAway is the error of calls that are not made.
type errDatabaseAway struct{}

func (errDatabaseAway) Error() string {
	return "the database is away: no call is made until it is back"
}

// Told says that the operator knows.
func (errDatabaseAway) Told() bool { return true }

func newDatabaseBreaker(check func(context.Context) error, log *slog.Logger, record func(audit.Event)) *databaseBreaker {
	b := &databaseBreaker{log: log, record: record}
	b.Breaker = breaker.New(breaker.Config{
		Failures: databaseFailures, ProbeInterval: databaseProbe, OnChange: b.changed,
		Probe: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, databasePatience)
			defer cancel()
			err := check(ctx)
			if postgres.Reads(err) {
				return nil
			}
			return err
		},
	})
	return b
}

// Away implements [sqlstore.Breaker].
func (b *databaseBreaker) Away() error {
	if !b.Allow() {
		return errDatabaseAway{}
	}
	return nil
}

// Done implements [sqlstore.Breaker]. What failed for another reason than the connection was answered, unless the
// caller left. A call that took too long may have asked for too much, and one that may not write may have come to a
// standby, which does not know what was revoked: a probe decides.
func (b *databaseBreaker) Done(err error) {
	switch {
	case !b.armed.Load() || errors.Is(err, context.Canceled):
	case errors.Is(err, context.DeadlineExceeded), postgres.RefusesWrites(err):
		b.Suspect()
	case postgres.Lost(err):
		b.Failed(err)
	default:
		b.Succeeded()
	}
}

func (b *databaseBreaker) changed(o breaker.Outage) {
	if o.Ended.IsZero() {
		b.log.Error("the database is away: requests that need it are refused until it is back", "error", o.Cause)
		b.record(audit.DatabaseLost("postgres"))
		return
	}
	away := o.Ended.Sub(o.Began).Round(time.Millisecond)
	b.log.Info("the database is back", "away", away, "calls_skipped", o.Skipped)
	b.record(audit.DatabaseBack("postgres", away, o.Skipped))
}

// checkDatabase reports whether the service can work with its database now.
func (s *Server) checkDatabase(ctx context.Context) error {
	if s.outages != nil {
		if _, away := s.outages.Outage(); away {
			return errDatabaseAway{}
		}
	}
	return s.database.Check(ctx)
}
