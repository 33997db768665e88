// Command image writes the container image that the Dockerfile describes, without an
// engine: a tar file for docker load, podman load or skopeo. The same program, version
// and epoch make the same bytes.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user and volume are those of the Dockerfile; tests in deploy/ compare the two.
const (
	user   = 65532
	volume = "/var/lib/merlon"
)

func main() {
	var m maker
	var epoch int64
	var output string
	flag.StringVar(&m.binary, "binary", "", "the static `FILE` of the program")
	flag.StringVar(&m.source, "source", ".", "the `DIR` of the repository")
	flag.StringVar(&m.arch, "arch", "", "the architecture of the program, such as amd64")
	flag.StringVar(&m.version, "version", "", "the version, such as v0.3.0")
	flag.StringVar(&m.revision, "revision", "", "the commit")
	flag.Int64Var(&epoch, "epoch", 0, "the time of everything in it, in `SECONDS` since 1970")
	flag.StringVar(&output, "output", "", "the `FILE` to write")
	flag.Parse()
	m.epoch = time.Unix(epoch, 0).UTC()
	if m.binary == "" || m.arch == "" || m.version == "" || output == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := m.write(output); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// A maker makes one image.
type maker struct {
	binary, source, arch, version, revision string
	epoch                                   time.Time
}

func (m maker) write(output string) error {
	layer, err := m.layer()
	if err != nil {
		return err
	}
	added, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		return err
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: added, History: v1.History{Created: v1.Time{Time: m.epoch}, CreatedBy: "make dist"}})
	if err != nil {
		return err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return err
	}
	file = file.DeepCopy()
	file.Created, file.OS, file.Architecture, file.Config = v1.Time{Time: m.epoch}, "linux", m.arch, m.config()
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return err
	}
	tag, err := name.NewTag("merlon:" + m.version)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(output, tag, img)
}

// config is what the Dockerfile says below its second FROM, with labels
// (github.com/opencontainers/image-spec, annotations.md).
func (m maker) config() v1.Config {
	return v1.Config{
		User:         fmt.Sprintf("%d:%d", user, user),
		WorkingDir:   volume,
		Volumes:      map[string]struct{}{volume: {}},
		ExposedPorts: map[string]struct{}{"8443/tcp": {}},
		Entrypoint:   []string{"/merlon"},
		Cmd:          []string{"serve", "--config", "/etc/merlon/merlon.yaml"},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "/merlon", "health", "--config", "/etc/merlon/merlon.yaml"},
			Interval: 30 * time.Second, Timeout: 10 * time.Second, StartPeriod: 30 * time.Second, Retries: 3},
		Labels: map[string]string{
			"org.opencontainers.image.title":         "Merlon",
			"org.opencontainers.image.description":   "The security layer for HTTP APIs.",
			"org.opencontainers.image.url":           "https://github.com/merlonhq/merlon",
			"org.opencontainers.image.source":        "https://github.com/merlonhq/merlon",
			"org.opencontainers.image.documentation": "https://github.com/merlonhq/merlon/blob/main/docs/deploying.md",
			"org.opencontainers.image.licenses":      "Apache-2.0",
			"org.opencontainers.image.version":       m.version,
			"org.opencontainers.image.revision":      m.revision,
			"org.opencontainers.image.created":       m.epoch.Format(time.RFC3339),
		},
	}
}

// layer returns the root file system as a tar file.
func (m maker) layer() ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	var errs []error
	add := func(h tar.Header, text []byte) {
		h.ModTime, h.Format, h.Size = m.epoch, tar.FormatUSTAR, int64(len(text))
		h.Typeflag = tar.TypeReg
		if h.Name[len(h.Name)-1] == '/' {
			h.Typeflag = tar.TypeDir
		}
		errs = append(errs, w.WriteHeader(&h))
		_, err := w.Write(text)
		errs = append(errs, err)
	}
	file := func(from, to string, mode int64) {
		text, err := os.ReadFile(from)
		errs = append(errs, err)
		add(tar.Header{Name: to, Mode: mode}, text)
	}
	dir := func(name string, mode int64, owner int) {
		add(tar.Header{Name: name, Mode: mode, Uid: owner, Gid: owner}, nil)
	}
	etc := filepath.Join(m.source, "image", "etc")
	dir("etc/", 0o755, 0)
	file(filepath.Join(etc, "passwd"), "etc/passwd", 0o644)
	file(filepath.Join(etc, "group"), "etc/group", 0o644)
	dir("etc/merlon/", 0o755, 0)
	file(filepath.Join(etc, "merlon", "merlon.yaml"), "etc/merlon/merlon.yaml", 0o644)
	dir("etc/ssl/", 0o755, 0)
	dir("etc/ssl/certs/", 0o755, 0)
	add(tar.Header{Name: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644}, authorities())
	dir("tmp/", 0o1777, 0)
	dir("var/", 0o755, 0)
	dir("var/lib/", 0o755, 0)
	dir("var/lib/merlon/", 0o700, user)
	file(m.binary, "merlon", 0o755)
	err := errors.Join(append(errs, w.Close())...) // which writes the end
	return out.Bytes(), err
}

// authorities returns the certificate authorities of Mozilla, as a module that go.sum
// pins has them: those of the machine that builds would be another list on another
// machine. Those that hold with constraints are left out, since a list cannot say so.
func authorities() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return out.Bytes()
}
