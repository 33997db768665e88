package eventdb

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

// ErrCursor: the cursor is not one that [Store.Query] returned.
var ErrCursor = errors.New("eventdb: no such cursor")

// A position is a place in the list of all events.
type position struct {
	time int64 // microseconds since 1970
	id   string
}

// older reports whether p comes after q in the list, which begins with the newest.
func (p position) older(q position) bool {
	return p.time < q.time || p.time == q.time && p.id < q.id
}

const (
	cursorVersion = 1
	maxCursorID   = 64 // the limit of an event's id
)

// cursor returns p as text for clients, who are to make nothing of it. It is no secret and not signed: with a place
// that was made up one sees what any filter shows.
func (p position) cursor() string {
	b := []byte{cursorVersion}
	b = binary.BigEndian.AppendUint64(b, uint64(p.time))
	return base64.RawURLEncoding.EncodeToString(append(b, p.id...))
}

// parseCursor is the inverse of cursor. It takes one spelling of each position only.
func parseCursor(s string) (position, error) {
	const head = 1 + 8
	if len(s) > base64.RawURLEncoding.EncodedLen(head+maxCursorID) || strings.ContainsAny(s, "\r\n") {
		return position{}, ErrCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) <= head || b[0] != cursorVersion {
		return position{}, ErrCursor
	}
	id := b[head:]
	for _, c := range id {
		if c <= ' ' || c > '~' {
			return position{}, ErrCursor
		}
	}
	return position{time: int64(binary.BigEndian.Uint64(b[1:head])), id: string(id)}, nil
}
