package sqlstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// retries is how often a transaction of PostgreSQL is tried again, within its deadline.
const retries = 8

// retry runs do, and runs it again when PostgreSQL ended the transaction because of others (40001
// serialization_failure, 40P01 deadlock_detected: nothing of it has happened). No other error is tried again: what
// failed with it may have happened, or would fail again.
func (d Dialect) retry(ctx context.Context, do func() error) error {
	err := do()
	if d != PostgreSQL {
		return err
	}
	wait := time.Millisecond
	for n := 0; n < retries && endedForOthers(err); n++ {
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait/2 + rand.N(wait)): // apart from each other
		}
		wait *= 2
		err = do()
	}
	return err
}

func endedForOthers(err error) bool {
	var state interface{ SQLState() string }
	if !errors.As(err, &state) {
		return false
	}
	s := state.SQLState()
	return s == "40001" || s == "40P01"
}

// values returns args as the engine can hold them. Text in PostgreSQL is UTF-8 without NUL: other bytes become U+FFFD.
// What clients send is compared with what is stored, or stored as a description, and must not be an outage.
func (d Dialect) values(args []any) []any {
	if d != PostgreSQL {
		return args
	}
	copied := false
	for i, arg := range args {
		var text string
		switch v := arg.(type) {
		case string:
			text = v
		case *string:
			if v == nil {
				continue
			}
			text = *v
		default:
			continue
		}
		if utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 {
			continue
		}
		if !copied {
			args, copied = append([]any(nil), args...), true
		}
		args[i] = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	}
	return args
}
