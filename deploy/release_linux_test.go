package deploy_test

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A release is a directory that tools/dist/dist has filled.
type release struct{ dir, name string }

const releaseVersion = "v0.0.0-of-a-test"

// makeRelease copies the repository to a directory and makes a release there. Only the
// files of the checkout count: not their times and modes, nor where they are.
func makeRelease(t *testing.T, dir string, env ...string) release {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "-c", "safe.directory=*", "ls-files", "-z")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join("..", path))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, path), string(text), 0o600|info.Mode().Perm()&0o100)
	}
	cmd := exec.CommandContext(t.Context(), "tools/dist/dist")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VERSION="+releaseVersion, "SOURCE_DATE_EPOCH=1700000000", "REVISION=0123456789abcdef", "ARCHES="+runtime.GOARCH, "PARTS=binaries images")
	cmd.Env = append(cmd.Env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tools/dist/dist: %v\n%s", err, out)
	}
	return release{filepath.Join(dir, "dist"), "merlon_" + releaseVersion + "_linux_" + runtime.GOARCH}
}

// In the short form the two builds share what is compiled, and so compare the archive and
// the image; make reproducible compiles twice.
func TestAReleaseIsTheSameBytesEverywhere(t *testing.T) {
	whole := os.Getenv("MERLON_REPRODUCIBLE") == "whole"
	cache := func() []string {
		if !whole {
			return nil
		}
		return []string{"GOCACHE=" + t.TempDir()}
	}
	first := makeRelease(t, filepath.Join(t.TempDir(), "a"), cache()...)
	second := makeRelease(t, filepath.Join(t.TempDir(), "of", "another", "length"), append(cache(), "TZ=Asia/Tokyo", "LANG=de_DE.UTF-8", "GOFLAGS=-p=1")...)
	one, two := read(t, filepath.Join(first.dir, "SHA256SUMS")), read(t, filepath.Join(second.dir, "SHA256SUMS"))
	if one != two {
		t.Errorf("two releases of one source differ:\n%s\n%s", one, two)
	}
	if n := strings.Count(one, "\n"); n != 2 {
		t.Errorf("%d files are summed, want an archive and an image:\n%s", n, one)
	}
	if whole {
		return
	}
	sum := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	sum.Dir = first.dir
	if out, err := sum.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	t.Run("the archive", func(t *testing.T) { holdsWhatAMachineNeeds(t, first) })
	t.Run("the image", func(t *testing.T) { isTheImageOfTheDockerfile(t, first) })
}

// entries reads a tar file; each entry is handed to f.
func entries(t *testing.T, r io.Reader, f func(*tar.Header, []byte)) {
	t.Helper()
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		f(h, text)
	}
}

func holdsWhatAMachineNeeds(t *testing.T, r release) {
	f, err := os.Open(filepath.Join(r.dir, r.name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	program := filepath.Join(t.TempDir(), "merlon")
	entries(t, zip, func(h *tar.Header, text []byte) {
		got[strings.TrimPrefix(h.Name, r.name)] = h.Mode
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.ModTime.Unix() != 1700000000 {
			t.Errorf("%s belongs to %d:%d (%s) and is of %v", h.Name, h.Uid, h.Gid, h.Uname, h.ModTime)
		}
		if h.Name == r.name+"/merlon" {
			write(t, program, string(text), 0o755)
		}
	})
	want := map[string]int64{"/": 0o755, "/merlon": 0o755, "/LICENSE": 0o644, "/CHANGELOG.md": 0o644, "/SECURITY.md": 0o644, "/systemd/": 0o755,
		"/systemd/merlon.service": 0o644, "/systemd/merlon.sysusers": 0o644, "/systemd/merlon.yaml": 0o644, "/systemd/merlonctl": 0o755}
	for name, mode := range want {
		if m, ok := got[name]; !ok || m != mode {
			t.Errorf("%s has mode %o, want %o", name, m, mode)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the archive holds %v", got)
	}
	out, err := exec.CommandContext(t.Context(), program, "version").CombinedOutput()
	if err != nil || string(out) != "merlon "+releaseVersion+"\n" {
		t.Errorf("merlon version: %v: %s", err, out)
	}
}

// isTheImageOfTheDockerfile reads the image as docker load does, and holds it to the
// second stage of the Dockerfile, whose image is started by the tests of image/.
func isTheImageOfTheDockerfile(t *testing.T, r release) {
	f, err := os.Open(filepath.Join(r.dir, r.name+".image.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string][]byte{}
	entries(t, f, func(h *tar.Header, text []byte) { files[h.Name] = text })
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 || len(manifest[0].Layers) != 1 {
		t.Fatalf("%v: manifest %s", err, files["manifest.json"])
	}
	if !slices.Equal(manifest[0].RepoTags, []string{"merlon:" + releaseVersion}) {
		t.Errorf("it is tagged %q", manifest[0].RepoTags)
	}
	var image struct {
		Architecture, OS string
		Created          time.Time
		Config           struct {
			User, WorkingDir      string
			Entrypoint, Cmd, Env  []string
			Volumes, ExposedPorts map[string]struct{}
			Labels                map[string]string
			Healthcheck           struct {
				Test                           []string
				Interval, Timeout, StartPeriod time.Duration
				Retries                        int
			}
		}
	}
	if err := json.Unmarshal(files[manifest[0].Config], &image); err != nil {
		t.Fatal(err)
	}
	c, h := image.Config, image.Config.Healthcheck
	_, final, _ := strings.Cut(read(t, "../Dockerfile"), "\nFROM scratch\n")
	quoted := func(words []string) string { return `["` + strings.Join(words, `", "`) + `"]` }
	lines := []string{
		"USER " + c.User, "WORKDIR " + c.WorkingDir, "ENTRYPOINT " + quoted(c.Entrypoint), "CMD " + quoted(c.Cmd), "    CMD " + quoted(h.Test[1:]),
		fmt.Sprintf("HEALTHCHECK --interval=%.0fs --timeout=%.0fs --start-period=%.0fs --retries=%d", h.Interval.Seconds(), h.Timeout.Seconds(), h.StartPeriod.Seconds(), h.Retries),
	}
	for v := range c.Volumes {
		lines = append(lines, "VOLUME "+v)
	}
	for p := range c.ExposedPorts {
		lines = append(lines, "EXPOSE "+strings.TrimSuffix(p, "/tcp"))
	}
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(line)).MatchString(final) {
			t.Errorf("the Dockerfile does not have %s", line)
		}
	}
	if len(lines) != 8 || h.Test[0] != "CMD" || len(c.Env) > 0 || image.OS != "linux" || image.Architecture != runtime.GOARCH || image.Created.Unix() != 1700000000 {
		t.Errorf("the image is %+v", image)
	}
	for label, want := range map[string]string{"version": releaseVersion, "revision": "0123456789abcdef", "licenses": "Apache-2.0", "created": "2023-11-14T22:13:20Z"} {
		if got := c.Labels["org.opencontainers.image."+label]; got != want {
			t.Errorf("the label %s is %q, want %q", label, got, want)
		}
	}

	layer, err := os.Create(filepath.Join(t.TempDir(), "layer"))
	if err != nil {
		t.Fatal(err)
	}
	defer layer.Close()
	if _, err := layer.Write(files[manifest[0].Layers[0]]); err != nil {
		t.Fatal(err)
	}
	if _, err := layer.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	// Engines are less lenient than the reader of Go, as is this program.
	if out, err := exec.CommandContext(t.Context(), "tar", "--list", "--gzip", "--file", layer.Name()).CombinedOutput(); err != nil {
		t.Errorf("the layer: %v\n%s", err, out)
	}
	zip, err := gzip.NewReader(layer)
	if err != nil {
		t.Fatal(err)
	}
	type entry struct {
		mode  int64
		owner int
	}
	want := map[string]entry{"etc/": {0o755, 0}, "etc/passwd": {0o644, 0}, "etc/group": {0o644, 0}, "etc/merlon/": {0o755, 0}, "etc/merlon/merlon.yaml": {0o644, 0},
		"etc/ssl/": {0o755, 0}, "etc/ssl/certs/": {0o755, 0}, "etc/ssl/certs/ca-certificates.crt": {0o644, 0}, "tmp/": {0o1777, 0},
		"var/": {0o755, 0}, "var/lib/": {0o755, 0}, "var/lib/merlon/": {0o700, 65532}, "merlon": {0o755, 0}}
	authorities, program := 0, filepath.Join(t.TempDir(), "merlon")
	entries(t, zip, func(h *tar.Header, text []byte) {
		if e, ok := want[h.Name]; !ok || e != (entry{h.Mode, h.Uid}) || h.Uid != h.Gid {
			t.Errorf("%s has mode %o and belongs to %d:%d, want %+v", h.Name, h.Mode, h.Uid, h.Gid, e)
		}
		delete(want, h.Name)
		switch h.Name {
		case "etc/ssl/certs/ca-certificates.crt":
			authorities = strings.Count(string(text), "BEGIN CERTIFICATE")
		case "merlon":
			write(t, program, string(text), 0o755)
		}
	})
	if len(want) > 0 || authorities < 50 {
		t.Errorf("%v are missing; there are %d authorities", want, authorities)
	}
	out, err := exec.CommandContext(t.Context(), program, "version").CombinedOutput()
	if err != nil || string(out) != "merlon "+releaseVersion+"\n" {
		t.Errorf("merlon version: %v: %s", err, out)
	}
}
