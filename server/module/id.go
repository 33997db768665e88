package module

import (
	"regexp"
	"strings"
	"time"

	"github.com/merlonhq/merlon/internal/uuid7"
)

// NewID returns a new id of the form of all ids of the service: the prefix, "_"
// and a UUIDv7 (RFC 9562 section 5.7), so that ids sort by their time of making.
func NewID(prefix string, now time.Time) string { return prefix + "_" + uuid7.New(now) }

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// IsID reports whether s has the form of an id that [NewID] makes with the prefix.
// What has not need not be looked up.
func IsID(prefix, s string) bool {
	rest, ok := strings.CutPrefix(s, prefix+"_")
	return ok && uuid.MatchString(rest)
}
