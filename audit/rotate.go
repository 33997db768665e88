package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const rotatedFormat = "20060102T150405.000000Z"

// rotate renames the file, begins a new one, and removes the oldest rotated
// ones beyond Keep.
func (f *File) rotate() error {
	rotated, err := f.rotated()
	if err != nil {
		return fmt.Errorf("audit: rotate: %w", err)
	}
	at := f.now().UTC().Truncate(time.Microsecond)
	if n := len(rotated); n > 0 && !at.After(rotated[n-1]) { // the clock was set back, or two in one instant
		at = rotated[n-1].Add(time.Microsecond)
	}
	_ = f.file.Close() // everything in it is synced
	f.file = nil
	if err := os.Rename(f.path, f.rotatedPath(at)); err != nil {
		return fmt.Errorf("audit: rotate: %w", err)
	}
	for i := 0; i <= len(rotated)-f.keep; i++ {
		_ = os.Remove(f.rotatedPath(rotated[i])) // what cannot be removed now is tried at the next rotation
	}
	return f.open()
}

// rotated returns when the rotated files were rotated, oldest first.
func (f *File) rotated() ([]time.Time, error) {
	dir, base := filepath.Split(f.path)
	ext := filepath.Ext(base)
	prefix := strings.TrimSuffix(base, ext) + "-"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		stamp, ok = strings.CutSuffix(stamp, ext)
		if !ok {
			continue
		}
		// Only names that are written exactly so are this log's to count and remove.
		if t, err := time.Parse(rotatedFormat, stamp); err == nil {
			times = append(times, t)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times, nil
}

func (f *File) rotatedPath(at time.Time) string {
	ext := filepath.Ext(f.path)
	return strings.TrimSuffix(f.path, ext) + "-" + at.Format(rotatedFormat) + ext
}
