//go:build unix

package chaos_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	full    = flag.Bool("chaos.full", false, "every fault, and each for longer")
	seed    = flag.Uint64("chaos.seed", 0, "what the load draws its lots from; 0 draws a new one")
	scaling = flag.Bool("chaos.scaling", false, "measure how much one node carries")
	only    = flag.String("chaos.only", "", "faults whose name has this in it, and no others")
)

// The programs under test: node serves, merlon is the command beside it. TestMain builds both.
var node, merlon string

// patience is how long anything may take that is expected to happen. It is no expectation.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := build(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func build(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "merlon-chaos-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	node, merlon = filepath.Join(dir, "node"), filepath.Join(dir, "merlon")
	for _, b := range []struct{ program, in, path string }{{node, ".", "./node"}, {merlon, "..", "./cmd/merlon"}} {
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", b.program, b.path)
		cmd.Dir = b.in
		if out, err := cmd.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("building %s: %w\n%s", b.path, err, out)
		}
	}
	return m.Run(), nil
}
