package audit

import (
	"context"
	"errors"
)

// A Sink is where a [Pipeline] puts events: a file, a stream, a database.
// Package audittest has the conformance suite.
//
// A pipeline calls one sink from one goroutine at a time, and Close last.
type Sink interface {
	// Write keeps the whole batch, in order, or none of it and returns an error.
	// When it returns nil the batch survives a crash of the process (file:
	// synced; database: committed in one transaction).
	//
	// lines[i] is batch[i] as [AppendJSON] writes it, without a newline. The
	// strings of both are bounded, valid UTF-8 without NUL; those of batch may hold
	// other control characters. Both belong to the pipeline: an implementation
	// neither changes them nor keeps them after it returned.
	//
	// An implementation MUST return soon after ctx ended, because the sinks
	// beside it wait. It MUST NOT refuse a batch for what is in it: a batch that
	// failed is written again, for ever. An event may therefore come twice, when
	// an earlier Write failed late; its ID tells. A sink with a unique index on
	// it keeps the first and reports no error. An empty batch is no error.
	Write(ctx context.Context, batch []Event, lines [][]byte) error
	// Close releases what the sink holds. Write is an error afterwards.
	Close() error
}

// ErrNotRecorded is in every error of [Pipeline.Commit]: what the event tells of must not be done.
var ErrNotRecorded = errors.New("audit: event not recorded")

var errSinkClosed = errors.New("audit: sink is closed")
