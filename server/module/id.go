package module

import (
	"time"

	"github.com/merlonhq/merlon/internal/uuid7"
)

// NewID returns a new id of the form of all ids of the service: the prefix, "_"
// and a UUIDv7 (RFC 9562 section 5.7), so that ids sort by their time of making.
func NewID(prefix string, now time.Time) string { return prefix + "_" + uuid7.New(now) }
