package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/audit/audittest"
)

func newFile(t *testing.T, cfg audit.FileConfig) *audit.File {
	t.Helper()
	f, err := audit.NewFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // again, in tests that close it
	return f
}

func write(t *testing.T, s audit.Sink, lines ...string) {
	t.Helper()
	if err := tryWrite(t, s, lines...); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

func tryWrite(t *testing.T, s audit.Sink, lines ...string) error {
	batch, raw := make([]audit.Event, len(lines)), make([][]byte, len(lines))
	for i, l := range lines {
		raw[i] = []byte(l)
	}
	return s.Write(t.Context(), batch, raw)
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// logs returns the names in dir without the lock and the node's id, sorted.
func logs(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".lock") && !strings.HasSuffix(e.Name(), ".node") {
			names = append(names, e.Name())
		}
	}
	return names
}

// members returns the member name of every line in data, and how many lines are no events.
func members(data []byte, name string) (values []string, broken int) {
	for line := range bytes.Lines(data) {
		var m map[string]any
		if json.Unmarshal(line, &m) != nil {
			broken++
			continue
		}
		values = append(values, fmt.Sprint(m[name]))
	}
	return values, broken
}

func TestSinksConform(t *testing.T) {
	t.Run("File", func(t *testing.T) {
		audittest.RunSink(t, func(t *testing.T) (audit.Sink, func() ([]string, error)) {
			path := filepath.Join(t.TempDir(), "security.log")
			return newFile(t, audit.FileConfig{Path: path}), func() ([]string, error) {
				data, err := os.ReadFile(path)
				ids, broken := members(data, "id")
				if broken > 0 {
					err = fmt.Errorf("%d broken lines", broken)
				}
				return ids, err
			}
		})
	})
	t.Run("File with a chain", func(t *testing.T) {
		audittest.RunSink(t, func(t *testing.T) (audit.Sink, func() ([]string, error)) {
			path := filepath.Join(t.TempDir(), "security.log")
			return chained(t, path), func() ([]string, error) {
				data, err := os.ReadFile(path)
				if err != nil {
					return nil, err
				}
				if len(data) > 0 {
					if v, err := audit.Verify(audit.VerifyConfig{Files: []string{path}}); err != nil || len(v.Breaks) > 0 {
						return nil, fmt.Errorf("%v %v", v.Breaks, err)
					}
				}
				ids, broken := members(data, "id")
				types, _ := members(data, "type")
				if broken > 0 {
					return nil, fmt.Errorf("%d broken lines", broken)
				}
				i := 0 // checkpoints stand between
				return slices.DeleteFunc(ids, func(string) bool { i++; return types[i-1] == "sys_log_checkpoint" }), nil
			}
		})
	})
	t.Run("WriterSink", func(t *testing.T) {
		audittest.RunSink(t, func(t *testing.T) (audit.Sink, func() ([]string, error)) {
			var w bytes.Buffer
			return audit.NewWriterSink(&w), func() ([]string, error) {
				ids, broken := members(w.Bytes(), "id")
				if broken > 0 {
					return nil, fmt.Errorf("%d broken lines", broken)
				}
				return ids, nil
			}
		})
	})
}

func TestFileAndDirectoryArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "security.log")
	f := newFile(t, audit.FileConfig{Path: path, MaxSizeMiB: 1})
	write(t, f, strings.Repeat("a", 1<<20-1))
	write(t, f, "b") // rotates
	for _, c := range []struct {
		path string
		want os.FileMode
	}{{filepath.Dir(dir), 0o700}, {dir, 0o700}, {path, 0o600}, {filepath.Join(dir, logs(t, dir)[0]), 0o600}, {path + ".lock", 0o600}} {
		fi, err := os.Stat(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.Mode().Perm(); got != c.want {
			t.Errorf("%s has mode %o, want %o", c.path, got, c.want)
		}
	}
}

func TestModeOfAnExistingFile(t *testing.T) {
	for _, c := range []struct{ was, want os.FileMode }{{0o644, 0o600}, {0o640, 0o640}, {0o600, 0o600}} {
		path := filepath.Join(t.TempDir(), "security.log")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.was); err != nil { // whatever the umask is
			t.Fatal(err)
		}
		newFile(t, audit.FileConfig{Path: path})
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != c.want {
			t.Errorf("mode %o became %v, want %o (%v)", c.was, fi.Mode().Perm(), c.want, err)
		}
	}
}

func TestNewFileRefuses(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(plain, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cfg  audit.FileConfig
		want []string
	}{
		{"the zero Config", audit.FileConfig{}, []string{"Path is empty"}},
		{"everything that is wrong at once", audit.FileConfig{MaxSizeMiB: -1, Keep: -1}, []string{"Path is empty", "MaxSizeMiB is -1", "Keep is -1"}},
		{"a log that is a directory", audit.FileConfig{Path: dir}, []string{"not a regular file"}},
		{"a log directory that is a file", audit.FileConfig{Path: filepath.Join(plain, "security.log")}, []string{"not a directory"}},
		{"a device", audit.FileConfig{Path: "/dev/null"}, []string{"/dev/null", "not a regular file"}},
		{"a symbolic link", audit.FileConfig{Path: link}, []string{"not a regular file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := audit.NewFile(c.cfg)
			if err == nil {
				t.Fatal(f.Close())
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
	if got := logs(t, dir); len(got) != 2 {
		t.Errorf("something was made: %v", got)
	}
	if got := contents(t, plain); got != "keep me" {
		t.Errorf("a file was changed to %q", got)
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	f := newFile(t, audit.FileConfig{Path: path})
	if _, err := audit.NewFile(audit.FileConfig{Path: path}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second instance: %v", err)
	}
	write(t, f, "a")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, newFile(t, audit.FileConfig{Path: path}), "b") // the next one may
	if got := contents(t, path); got != "a\nb\n" {
		t.Errorf("holds %q", got)
	}
}

func TestTornLastLineIsClosed(t *testing.T) {
	for _, c := range []struct {
		name, was, want string
		torn            bool
	}{
		{"a torn line", "{\"a\":1}\n{\"b\":", "{\"a\":1}\n{\"b\":\nnew\n", true},
		{"a whole line", "{\"a\":1}\n", "{\"a\":1}\nnew\n", false},
		{"an empty file", "", "new\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "security.log")
			if err := os.WriteFile(path, []byte(c.was), 0o600); err != nil {
				t.Fatal(err)
			}
			f := newFile(t, audit.FileConfig{Path: path})
			write(t, f, "new")
			if got := contents(t, path); got != c.want || f.TornLine() != c.torn {
				t.Errorf("holds %q, torn %v, want %q, %v", got, f.TornLine(), c.want, c.torn)
			}
		})
	}
}

func TestFileChangedBySomebodyElse(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(path string) error
		want   string
	}{
		{"removed", os.Remove, "after\n"},
		{"renamed", func(path string) error { return os.Rename(path, path+".1") }, "after\n"},
		{"renamed and made anew", func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, []byte("theirs"), 0o600))
		}, "theirs\nafter\n"},
		{"truncated", func(path string) error { return os.Truncate(path, 0) }, "after\n"},
		{"the whole directory removed", func(path string) error { return os.RemoveAll(filepath.Dir(path)) }, "after\n"},
		{"nothing", func(string) error { return nil }, "before\nafter\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "logs", "security.log")
			f := newFile(t, audit.FileConfig{Path: path})
			write(t, f, "before")
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			write(t, f, "after")
			if got := contents(t, path); got != c.want {
				t.Errorf("holds %q, want %q", got, c.want)
			}
			if _, err := audit.NewFile(audit.FileConfig{Path: path}); err == nil || !strings.Contains(err.Error(), "in use") {
				t.Errorf("second instance: %v", err)
			}
		})
	}
}

func TestFileThatCannotBeWrittenIsAnErrorAndRecovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	f := newFile(t, audit.FileConfig{Path: path})
	write(t, f, "before")
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := tryWrite(t, f, "during"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("Write to a directory: %v", err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, f, "after")
	if got := contents(t, path); got != "after\n" {
		t.Errorf("holds %q", got)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "security.log")
	for _, name := range []string{"security-20250101T000000Z.log", "security-old.log", "other.log"} { // not the log's to remove
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := newFile(t, audit.FileConfig{Path: path, MaxSizeMiB: 1, Keep: 3, Now: func() time.Time { return now }})
	half := strings.Repeat("x", 1<<19-3)
	for i := range 12 { // two lines fit
		if i == 8 {
			now = now.Add(-time.Hour) // the clock is set back
		}
		write(t, f, fmt.Sprintf("%02d", i)+half)
	}
	want := []string{
		"other.log",
		"security-20250101T000000Z.log",
		"security-20260102T030405.000002Z.log",
		"security-20260102T030405.000003Z.log",
		"security-20260102T030405.000004Z.log",
		"security-old.log",
		"security.log",
	}
	if got := logs(t, dir); !slices.Equal(got, want) {
		t.Fatalf("files %q\nwant  %q", got, want)
	}
	for i, name := range []string{want[2], want[3], want[4], want[6]} {
		got := contents(t, filepath.Join(dir, name))
		if first := fmt.Sprintf("%02d", 4+2*i); len(got) != 1<<20 || got[:2] != first {
			t.Errorf("%s has %d bytes and begins %q, want two lines from %s on", name, len(got), got[:2], first)
		}
	}
}

func TestRotationUnderLoadLosesNothing(t *testing.T) {
	dir := t.TempDir()
	f := newFile(t, audit.FileConfig{Path: filepath.Join(dir, "security.log"), MaxSizeMiB: 1, Keep: 100})
	p := open(t, audit.Config{}, to(f))
	const writers, each = 4, 1500
	agent := strings.Repeat("a", 256)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				e := named(fmt.Sprintf("%d:%05d", w, i))
				e.UserAgent, e.Path = agent, "/"+agent
				p.Record(e)
			}
		})
	}
	wg.Wait()
	closed(t, p)
	var got []string
	for _, name := range logs(t, dir) {
		data := contents(t, filepath.Join(dir, name))
		if len(data) > 1<<20 {
			t.Errorf("%s has %d bytes", name, len(data))
		}
		ids, broken := members([]byte(data), "request_id")
		if broken > 0 {
			t.Errorf("%s has %d broken lines", name, broken)
		}
		got = append(got, ids...)
	}
	if n := len(logs(t, dir)); n < 3 {
		t.Errorf("%d files: nothing was rotated", n)
	}
	slices.SortStableFunc(got, func(a, b string) int { return strings.Compare(a[:1], b[:1]) })
	if n := p.Stats().Dropped; n > 0 || len(got) != writers*each || !slices.IsSorted(got) || len(slices.Compact(got)) != writers*each {
		t.Errorf("%d events in the files in order, %d dropped, want %d", len(got), n, writers*each)
	}
}
