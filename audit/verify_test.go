package audit_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/merlonhq/merlon/audit"
)

// chainSecret is a secret of tests, one byte 32 times.
func chainSecret() []byte { return bytes.Repeat([]byte{7}, 32) }

// chained opens a chained log at path.
func chained(t testing.TB, path string, change ...func(*audit.FileConfig)) *audit.File {
	t.Helper()
	cfg := audit.FileConfig{Path: path, ChainSecret: chainSecret()}
	for _, f := range change {
		f(&cfg)
	}
	f, err := audit.NewFile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// put writes n events to f, in batches.
func put(t testing.TB, f *audit.File, n int) {
	t.Helper()
	for i := 0; i < n; i += 10 {
		var batch []audit.Event
		var lines [][]byte
		for j := i; j < min(i+10, n); j++ {
			e := named(fmt.Sprint("event ", j))
			batch, lines = append(batch, e), append(lines, audit.AppendJSON(nil, e))
		}
		if err := f.Write(t.Context(), batch, lines); err != nil {
			t.Fatal(err)
		}
	}
}

// shutdown ends f as a pipeline does, and returns the checkpoints.
func shutdown(t testing.TB, f *audit.File) []audit.Event {
	t.Helper()
	made, err := f.Checkpoint(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return made
}

// keysOf returns the public key of the log at path.
func keysOf(t testing.TB, path string) []ed25519.PublicKey {
	t.Helper()
	node, err := audit.NodeID(path)
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.NodeKey(chainSecret(), node)
	if err != nil {
		t.Fatal(err)
	}
	return []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}
}

func verify(t testing.TB, cfg audit.VerifyConfig) audit.Verification {
	t.Helper()
	v, err := audit.Verify(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// elsewhere returns the checkpoints of events, as a reader of another sink has them.
func elsewhere(t testing.TB, events []audit.Event) []audit.Checkpoint {
	t.Helper()
	var list []audit.Checkpoint
	for _, e := range events {
		c, ok := audit.ParseCheckpoint(audit.AppendJSON(nil, e))
		if !ok {
			t.Fatalf("no checkpoint: %v", e)
		}
		list = append(list, c)
	}
	return list
}

func TestAChainOfAnOrderlyRunIsIntact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	for range 3 { // over restarts
		f := chained(t, path)
		put(t, f, 25)
		shutdown(t, f)
	}
	v := verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keysOf(t, path)})
	if len(v.Breaks) > 0 || len(v.Notes) > 0 || v.Lines != 78 || v.First != 1 || v.Last != 78 || v.Signed != 3 {
		t.Errorf("%+v", v)
	}
	if v = verify(t, audit.VerifyConfig{Files: []string{path}}); len(v.Breaks) > 0 || v.Unchecked != 3 || v.Signed != 0 {
		t.Errorf("without a key: %+v", v)
	}
	other, err := audit.NodeKey(bytes.Repeat([]byte{8}, 32), "node_AAAAAAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	v = verify(t, audit.VerifyConfig{Files: []string{path}, Keys: []ed25519.PublicKey{other.Public().(ed25519.PublicKey)}})
	if len(v.Breaks) != 3 || v.Breaks[0].Line != 26 || !strings.Contains(v.Breaks[0].Why, "not signed by one of the keys") {
		t.Errorf("with the key of somebody else: %+v", v)
	}
	// The form of a line, by hand.
	first, _, _ := strings.Cut(contents(t, path), "\n")
	if !regexp.MustCompile(`,"seq":1,"prev":"A{43}","hash":"[A-Za-z0-9_-]{43}"}$`).MatchString(first) {
		t.Errorf("the first line ends otherwise: %s", first)
	}
}

func TestVerifyNamesTheFirstBadLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "security.log")
	f := chained(t, path)
	put(t, f, 40)
	made := elsewhere(t, shutdown(t, f))
	lines := strings.SplitAfter(strings.TrimSuffix(contents(t, path), "\n"), "\n")
	lines[len(lines)-1] += "\n"
	keys := keysOf(t, path)
	changed := filepath.Join(dir, "changed.log")

	rapid.Check(t, func(r *rapid.T) {
		kind := rapid.SampledFrom([]string{"edit", "rewrite", "remove", "insert", "repeat", "swap", "cut"}).Draw(r, "kind")
		n := rapid.IntRange(0, len(lines)-1).Draw(r, "line")
		got := slices.Clone(lines)
		want := n + 1
		cfg := audit.VerifyConfig{Files: []string{changed}, Keys: keys}
		switch kind {
		case "edit":
			at := rapid.IntRange(0, len(got[n])-2).Draw(r, "byte")
			b := []byte(got[n])
			b[at] ^= byte(rapid.SampledFrom([]int{1, 2, 4, 8, 16, 32, 64}).Draw(r, "bit"))
			if b[at] == '\n' {
				b[at] = '~'
			}
			got[n] = string(b)
		case "rewrite": // and its own hash is right again: the next line tells
			if n == len(lines)-1 {
				return // the checkpoint, whose signature tells
			}
			text, _, _ := strings.Cut(strings.Replace(got[n], "event ", "Event ", 1), `,"hash":"`)
			sum := sha256.Sum256([]byte(text))
			got[n] = text + `,"hash":"` + base64.RawURLEncoding.EncodeToString(sum[:]) + "\"}\n"
			want = n + 2
		case "remove":
			got = slices.Delete(got, n, n+1)
			if n == 0 || n == len(got) {
				cfg.Checkpoints = made // at an end, only a checkpoint tells
				want = len(got)
			}
			if n == 0 {
				return // as if it had been deleted for its age: a note, see the test of rotation
			}
		case "insert":
			got = slices.Insert(got, n, rapid.SampledFrom([]string{"{}\n", "\n", "junk\n", `{"type":"user_created","severity":"info"}` + "\n"}).Draw(r, "text"))
		case "repeat":
			from := rapid.IntRange(0, len(lines)-1).Draw(r, "from")
			got = slices.Insert(got, n, lines[from])
			// Where a line stands twice in a row, the second is the bad one; before the
			// first line any other begins the chain elsewhere.
			if from == n {
				want++
			}
			if n == 0 && from > 0 {
				want = 2
			}
		case "swap":
			with := rapid.IntRange(0, len(lines)-1).Draw(r, "with")
			if with == n {
				return
			}
			got[n], got[with] = got[with], got[n]
			want = min(n, with) + 1
			if want == 1 { // the chain begins with another line then
				want = 2
			}
		case "cut":
			if n == 0 {
				return // nothing is left to name
			}
			got = got[:n]
			cfg.Checkpoints = made
			want = n
		}
		if err := os.WriteFile(changed, []byte(strings.Join(got, "")), 0o600); err != nil {
			r.Fatal(err)
		}
		v := verify(t, cfg)
		if len(v.Breaks) == 0 {
			r.Fatalf("%s of line %d: nothing found", kind, n+1)
		}
		if first := v.Breaks[0]; first.Line != want || first.File != changed {
			r.Fatalf("%s of line %d: %v, want line %d", kind, n+1, first, want)
		}
	})
}

// Whoever rewrites the rest of the chain is caught by the checkpoint, and needs the key.
func TestARewrittenChainFailsAtItsCheckpoint(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "security.log")
	f := chained(t, path)
	put(t, f, 20)
	shutdown(t, f)
	keys := keysOf(t, path)

	// The forger has another secret, and writes the same events less one.
	forged := filepath.Join(dir, "forged.log")
	g := chained(t, forged, func(c *audit.FileConfig) { c.ChainSecret = bytes.Repeat([]byte{9}, 32) })
	put(t, g, 19)
	shutdown(t, g)
	v := verify(t, audit.VerifyConfig{Files: []string{forged}, Keys: keys})
	if len(v.Breaks) != 1 || v.Breaks[0].Line != 20 || !strings.Contains(v.Breaks[0].Why, "not signed") {
		t.Errorf("%+v", v.Breaks)
	}
	// Without its checkpoints it shows at the thousandth line.
	h := chained(t, filepath.Join(dir, "unsigned.log"))
	put(t, h, 2100)
	shutdown(t, h)
	var kept []string
	for line := range strings.Lines(contents(t, filepath.Join(dir, "unsigned.log"))) {
		if !strings.Contains(line, "sys_log_checkpoint") {
			kept = append(kept, line)
		}
	}
	if err := os.WriteFile(forged, []byte(strings.Join(kept, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	v = verify(t, audit.VerifyConfig{Files: []string{forged}, Keys: keysOf(t, filepath.Join(dir, "unsigned.log"))})
	if len(v.Breaks) == 0 || v.Breaks[0].Line != 1001 {
		t.Errorf("%+v", v.Breaks)
	}
}

func TestATornLineIsANoteAndNamed(t *testing.T) {
	for _, c := range []struct {
		name, rest string
		notes      int
	}{
		{"half a line", `{"id":"evt_`, 1},
		{"bytes of zero", "\x00\x00\x00", 1},
		{"nothing", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "security.log")
			f := chained(t, path)
			put(t, f, 5)
			if err := f.Close(); err != nil { // no checkpoint: as if it was killed
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(contents(t, path)+c.rest), 0o600); err != nil {
				t.Fatal(err)
			}
			v := verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keysOf(t, path)})
			if len(v.Breaks) > 0 || len(v.Notes) != c.notes+1 { // and that the end is not covered
				t.Errorf("after the crash: %+v", v)
			}
			f = chained(t, path)
			if f.TornLine() != (c.rest != "") {
				t.Errorf("TornLine is %v", f.TornLine())
			}
			put(t, f, 5)
			shutdown(t, f)
			v = verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keysOf(t, path)})
			if len(v.Breaks) > 0 || len(v.Notes) != c.notes {
				t.Errorf("after the next start: %+v", v)
			}
			if c.rest == "" {
				return
			}
			if n := v.Notes[0]; n.Line != 6 || !strings.Contains(n.Why, "torn by a crash") {
				t.Errorf("note %v", n)
			}
			// What stands there now must be what was named.
			text := strings.Replace(contents(t, path), c.rest+"\n", "forged"+c.rest+"\n", 1)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			v = verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keysOf(t, path)})
			if len(v.Breaks) == 0 || v.Breaks[0].Line != 6 {
				t.Errorf("a torn line that was edited: %+v", v)
			}
		})
	}
}

func TestALineThatLacksOnlyItsNewlineIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	f := chained(t, path)
	put(t, f, 5)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.TrimSuffix(contents(t, path), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	f = chained(t, path)
	put(t, f, 1)
	shutdown(t, f)
	if v := verify(t, audit.VerifyConfig{Files: []string{path}}); len(v.Breaks)+len(v.Notes) > 0 || v.Lines != 7 {
		t.Errorf("%+v", v)
	}
}

func TestTheChainGoesOnOverRotatedAndCompressedFiles(t *testing.T) {
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("compress %v", compress), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "security.log")
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			open := func() *audit.File {
				return chained(t, path, func(c *audit.FileConfig) {
					c.MaxAge, c.Compress, c.Keep = time.Hour, compress, 4
					c.Now = func() time.Time { return now }
				})
			}
			f := open()
			var made []audit.Event
			for range 7 {
				put(t, f, 20)
				now = now.Add(2 * time.Hour)
			}
			made = append(made, shutdown(t, f)...)
			f = open()
			put(t, f, 1)
			shutdown(t, f)
			var files []string
			for _, name := range logs(t, dir) {
				if !strings.HasPrefix(name, "security") {
					continue
				}
				file := filepath.Join(dir, name)
				if compress && file != path && strings.HasSuffix(file, ".log") { // the end came before its turn
					file = packed(t, file)
				}
				files = append(files, file)
			}
			if len(files) != 5 || strings.HasSuffix(files[0], ".gz") != compress {
				t.Fatalf("files %q", files)
			}
			slices.Reverse(files) // in any order
			cfg := audit.VerifyConfig{Files: files, Keys: keysOf(t, path), Checkpoints: elsewhere(t, made)}
			v := verify(t, cfg)
			if len(v.Breaks) > 0 || v.Signed != 5 || v.Last != 149 || len(v.Notes) != 1 || !strings.Contains(v.Notes[0].Why, "begins with line") {
				t.Errorf("%+v", v)
			}
			if compress { // as it is while a file is compressed, and after a crash then
				cfg.Files = append(slices.Clone(files), strings.TrimSuffix(files[2], ".gz"))
				text := unpacked(t, files[2])
				if err := os.WriteFile(strings.TrimSuffix(files[2], ".gz"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if v = verify(t, cfg); len(v.Breaks) > 0 || v.Last != 149 || len(v.Notes) != 2 || v.Notes[0].File != files[2] {
					t.Errorf("a file that is there twice: %+v", v)
				}
				if err := os.WriteFile(strings.TrimSuffix(files[2], ".gz"), []byte(strings.Replace(text, `"severity":"low"`, `"severity":"high"`, 1)), 0o600); err != nil {
					t.Fatal(err)
				}
				if v = verify(t, cfg); len(v.Breaks) == 0 {
					t.Error("the file that is read in the place of the compressed one is not verified")
				}
				if err := os.Remove(strings.TrimSuffix(files[2], ".gz")); err != nil {
					t.Fatal(err)
				}
			}
			// A file in the middle is missing.
			cfg.Files = slices.Delete(slices.Clone(files), 2, 3)
			if v = verify(t, cfg); len(v.Breaks) != 1 || !strings.Contains(v.Breaks[0].Why, "are missing") || v.Breaks[0].Line != 1 {
				t.Errorf("without a file: %+v", v.Breaks)
			}
			// The newest is missing: a checkpoint from elsewhere tells.
			now = now.Add(time.Hour)
			cfg.Files = slices.DeleteFunc(slices.Clone(files), func(f string) bool { return f == path })
			cfg.Checkpoints = append(cfg.Checkpoints, lastCheckpoint(t, path))
			if v = verify(t, cfg); len(v.Breaks) != 1 || !strings.Contains(v.Breaks[0].Why, "cut off") {
				t.Errorf("without the end: %+v", v.Breaks)
			}
		})
	}
}

// packed compresses a file as the log does.
func packed(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), os.WriteFile(path+".gz", b.Bytes(), 0o600), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	return path + ".gz"
}

func unpacked(t *testing.T, path string) string {
	t.Helper()
	in, err := audit.OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func lastCheckpoint(t *testing.T, path string) audit.Checkpoint {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(contents(t, path), "\n"), "\n")
	c, ok := audit.ParseCheckpoint([]byte(lines[len(lines)-1]))
	if !ok {
		t.Fatal("the last line is no checkpoint")
	}
	return c
}

func TestALogFromBeforeTheChainIsRotated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "security.log")
	old := newFile(t, audit.FileConfig{Path: path})
	write(t, old, `{"id":"evt_1"}`, `{"id":"evt_2"}`)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	f := chained(t, path)
	put(t, f, 3)
	shutdown(t, f)
	if v := verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keysOf(t, path)}); len(v.Breaks)+len(v.Notes) > 0 || v.First != 1 {
		t.Errorf("the new file: %+v", v)
	}
	rotated := filepath.Join(dir, logs(t, dir)[0])
	if got := contents(t, rotated); got != "{\"id\":\"evt_1\"}\n{\"id\":\"evt_2\"}\n" {
		t.Errorf("the old lines became %q in %s", got, rotated)
	}
	if v := verify(t, audit.VerifyConfig{Files: []string{rotated}}); len(v.Breaks) != 2 || v.Breaks[0].Line != 1 || !strings.Contains(v.Breaks[0].Why, "no chain") {
		t.Errorf("the old file: %+v", v)
	}
}

func TestCheckpointsComeWithTimeAndLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := chained(t, path, func(c *audit.FileConfig) { c.Now = func() time.Time { return now } })
	count := func(final bool) int {
		made, err := f.Checkpoint(t.Context(), final)
		if err != nil {
			t.Fatal(err)
		}
		return len(made)
	}
	now = now.Add(time.Hour)
	if n := count(true); n != 0 {
		t.Errorf("%d checkpoints of an empty log", n)
	}
	put(t, f, 1)
	if n := count(false); n != 1 {
		t.Errorf("%d checkpoints when it was time", n)
	}
	put(t, f, 1)
	now = now.Add(59 * time.Second)
	if n := count(false); n != 0 {
		t.Errorf("%d checkpoints before it is time", n)
	}
	now = now.Add(time.Second)
	if n := count(false); n != 1 {
		t.Errorf("%d checkpoints when it is time again", n)
	}
	now = now.Add(time.Hour)
	if n := count(false); n != 0 {
		t.Errorf("%d checkpoints of nothing new", n)
	}
	put(t, f, 2500)
	if n := count(false); n != 2 {
		t.Errorf("%d checkpoints for 2500 lines", n)
	}
}

func FuzzVerifyReadsAnything(f *testing.F) {
	f.Add([]byte("{}\n"), []byte(`{"type":"sys_log_checkpoint","detail":{"seq":1}}`))
	f.Add([]byte("\n\n"), []byte(`,"seq":1,"prev":"","hash":""}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, a, b []byte) {
		path := filepath.Join(dir, "fuzz.log")
		if err := os.WriteFile(path, append(append(bytes.Clone(a), '\n'), b...), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := audit.Verify(audit.VerifyConfig{Files: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		if v.Lines == 0 && len(v.Breaks)+len(v.Notes) == 0 {
			t.Errorf("nothing was said of %q", a)
		}
	})
}

// Wherever a crash ends the file: a torn tail before the next start, nothing broken after it.
func TestAnyCutOfTheLastWriteIsNoBreak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "security.log")
	f := chained(t, path)
	put(t, f, 10)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	text, keys := contents(t, path), keysOf(t, path)
	rapid.Check(t, func(r *rapid.T) {
		if err := os.WriteFile(path, []byte(text[:rapid.IntRange(1, len(text)).Draw(r, "cut")]), 0o600); err != nil {
			r.Fatal(err)
		}
		for range 2 {
			if v := verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keys}); len(v.Breaks) > 0 {
				r.Fatal(v.Breaks)
			}
			f := chained(t, path)
			put(t, f, 2)
			if err := f.Close(); err != nil {
				r.Fatal(err)
			}
		}
		if v := verify(t, audit.VerifyConfig{Files: []string{path}, Keys: keys}); len(v.Breaks) > 0 || v.Lines < 4 {
			r.Fatal(v.Breaks, v.Lines)
		}
	})
}

func TestTheChainGoesOnWhenSomebodyElseMovesTheFile(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(path string) error
		breaks string
	}{
		{"renamed", func(path string) error { return os.Rename(path, path+".1") }, ""},
		{"renamed and made anew", func(path string) error {
			return errors.Join(os.Rename(path, path+".1"), os.WriteFile(path, nil, 0o600))
		}, ""},
		{"copied and cut", func(path string) error {
			text, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path+".1", text, 0o600), os.Truncate(path, 0))
		}, ""},
		{"put back to what it was", func(path string) error {
			text, err := os.ReadFile(path)
			half := text[:bytes.IndexByte(text, '\n')+1]
			return errors.Join(err, os.Rename(path, path+".1"), os.WriteFile(path, half, 0o600))
		}, "are missing before this one"},
		{"removed", func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path+".1", nil, 0o600)) }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "security.log")
			f := chained(t, path)
			put(t, f, 20)
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			put(t, f, 20)
			shutdown(t, f)
			cfg := audit.VerifyConfig{Files: []string{path + ".1", path}, Keys: keysOf(t, path)}
			if c.breaks != "" {
				cfg.Files = []string{path}
			}
			v := verify(t, cfg)
			if c.breaks == "" && len(v.Breaks) > 0 || c.breaks != "" && (len(v.Breaks) != 1 || !strings.Contains(v.Breaks[0].Why, c.breaks)) {
				t.Errorf("%+v", v)
			}
			if c.name == "removed" && v.First != 21 {
				t.Errorf("the chain began anew with %d: nobody would see that lines are gone", v.First)
			}
		})
	}
}

func TestNewFileRefusesAChainThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	_, err := audit.NewFile(audit.FileConfig{Path: filepath.Join(dir, "a.log"), ChainSecret: []byte("short"), MaxAge: time.Millisecond, KeepFor: -1, CheckpointInterval: 2 * time.Hour})
	for _, want := range []string{"ChainSecret has 5 bytes", "MaxAge is 1ms", "KeepFor is -1ns", "CheckpointInterval is 2h0m0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	path := filepath.Join(dir, "b.log")
	if err := os.WriteFile(path+".node", []byte("node_short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.NewFile(audit.FileConfig{Path: path, ChainSecret: chainSecret()}); err == nil || !strings.Contains(err.Error(), "does not hold the id of a node") {
		t.Errorf("a spoiled node id: %v", err)
	}
}

func TestRotatedFilesAreKeptForTheirTime(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := newFile(t, audit.FileConfig{Path: filepath.Join(dir, "security.log"), MaxAge: time.Hour, KeepFor: 90 * time.Minute, Now: func() time.Time { return now }})
	for range 5 {
		write(t, f, "x")
		now = now.Add(59 * time.Minute)
		write(t, f, "y") // not old enough
		now = now.Add(time.Minute)
	}
	want := []string{"security-20260102T060405.000000Z.log", "security-20260102T070405.000000Z.log", "security.log"}
	if got := logs(t, dir); !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
	if got := contents(t, filepath.Join(dir, want[0])); got != "x\ny\n" {
		t.Errorf("holds %q", got)
	}
}

func TestCheckpointsFromElsewhereAreOfThisNode(t *testing.T) {
	dir := t.TempDir()
	var made [2][]audit.Checkpoint
	paths := [2]string{filepath.Join(dir, "a.log"), filepath.Join(dir, "b.log")}
	for i, path := range paths {
		f := chained(t, path)
		put(t, f, 10+10*i)
		made[i] = elsewhere(t, shutdown(t, f))
	}
	both := append(slices.Clone(made[0]), made[1]...)
	for _, c := range []struct {
		name string
		cfg  audit.VerifyConfig
		want string // of the error
	}{
		{"of both nodes, with a key", audit.VerifyConfig{Keys: keysOf(t, paths[0]), Checkpoints: both}, ""},
		{"of this node, without a key", audit.VerifyConfig{Checkpoints: made[0]}, ""},
		{"of both nodes, without a key", audit.VerifyConfig{Checkpoints: both}, "of several nodes"},
		{"of the other node, with a key", audit.VerifyConfig{Keys: keysOf(t, paths[0]), Checkpoints: made[1]}, "none of the checkpoints"},
	} {
		c.cfg.Files = paths[:1]
		v, err := audit.Verify(c.cfg)
		if c.want == "" && (err != nil || len(v.Breaks) > 0) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, %v", c.name, v.Breaks, err)
		}
	}
	forged := slices.Clone(made[0])
	forged[0].Seq += 5
	if _, err := audit.Verify(audit.VerifyConfig{Files: paths[:1], Keys: keysOf(t, paths[0]), Checkpoints: forged}); err == nil || !strings.Contains(err.Error(), "not what the node signed") {
		t.Errorf("a forged one: %v", err)
	}
}
