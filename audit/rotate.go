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

// gzipped ends the name of a compressed file.
const gzipped = ".gz"

// rotate renames the file, begins a new one, and removes rotated ones beyond Keep
// and KeepFor.
func (f *File) rotate() error {
	_ = f.file.Close() // everything in it is synced
	f.file = nil
	if err := f.setAside(); err != nil {
		return err
	}
	return f.open()
}

// setAside renames the file that is at path.
func (f *File) setAside() error {
	rotated, err := f.rotated()
	if err != nil {
		return fmt.Errorf("audit: rotate: %w", err)
	}
	at := f.now().UTC().Truncate(time.Microsecond)
	if n := len(rotated); n > 0 && !at.After(rotated[n-1].at) { // the clock was set back, or two in one instant
		at = rotated[n-1].at.Add(time.Microsecond)
	}
	renamed := rotation{at: at}
	if err := os.Rename(f.path, f.rotatedPath(renamed)); err != nil {
		return fmt.Errorf("audit: rotate: %w", err)
	}
	rotated = append(rotated, renamed)
	for len(rotated) > f.keep || f.keepFor > 0 && len(rotated) > 0 && at.Sub(rotated[0].at) > f.keepFor {
		_ = os.Remove(f.rotatedPath(rotated[0])) // what cannot be removed now is tried at the next rotation
		rotated = rotated[1:]
	}
	var plain []string
	for _, r := range rotated {
		if !r.packed {
			plain = append(plain, f.rotatedPath(r))
		}
	}
	f.packer.pack(plain)
	return nil
}

// A rotation is a rotated file.
type rotation struct {
	at     time.Time
	packed bool
}

// rotated returns the rotated files, oldest first.
func (f *File) rotated() ([]rotation, error) {
	dir, base := filepath.Split(f.path)
	ext := filepath.Ext(base)
	prefix := strings.TrimSuffix(base, ext) + "-"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []rotation
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		stamp, packed := strings.CutSuffix(stamp, gzipped)
		stamp, ok = strings.CutSuffix(stamp, ext)
		if !ok {
			continue
		}
		// Only names that are written exactly so are this log's to count and remove.
		if t, err := time.Parse(rotatedFormat, stamp); err == nil {
			list = append(list, rotation{t, packed})
		}
	}
	slices.SortFunc(list, func(a, b rotation) int {
		if c := a.at.Compare(b.at); c != 0 || a.packed == b.packed {
			return c
		}
		if a.packed {
			return 1
		}
		return -1
	})
	return list, nil
}

func (f *File) rotatedPath(r rotation) string {
	ext := filepath.Ext(f.path)
	path := strings.TrimSuffix(f.path, ext) + "-" + r.at.Format(rotatedFormat) + ext
	if r.packed {
		path += gzipped
	}
	return path
}
