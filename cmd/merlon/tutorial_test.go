//go:build unix

package main_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A block is a fenced block of a document.
type block struct {
	line int    // of the document
	kind string // sh, text, yaml, go
	text string
}

var fence = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

// sections returns the blocks of a document below each heading of the second level.
func sections(text string) map[string][]block {
	out := map[string][]block{}
	line := 1
	for part := range strings.SplitSeq(text, "\n## ") {
		title, _, _ := strings.Cut(part, "\n")
		for _, m := range fence.FindAllStringSubmatchIndex(part, -1) {
			out[title] = append(out[title], block{line + strings.Count(part[:m[0]], "\n"), part[m[2]:m[3]], part[m[4]:m[5]]})
		}
		line += strings.Count(part, "\n") + 1
	}
	return out
}

// The tutorial does what it says: everything in it is typed into a shell, in order,
// and what is printed is what it shows.
func TestTutorial(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "curl", "sed", "base64"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: the tutorial needs it", tool)
			}
			t.Skipf("%s is missing: the tutorial is not tried", tool)
		}
	}
	text, err := os.ReadFile("../../docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := sections(string(text))
	bin := t.TempDir()
	exercises := 0
	for title, blocks := range parts {
		if strings.HasPrefix(title, "# Tutorial") {
			install(t, bin, blocks)
		}
	}
	for title, blocks := range parts {
		if strings.HasPrefix(title, "# Tutorial") {
			continue
		}
		exercises++
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			follow(t, bin, blocks)
		})
	}
	if exercises != 3 {
		t.Errorf("%d exercises, want 3", exercises)
	}
}

// install does what is to be done once, in the root of the repository.
func install(t *testing.T, bin string, blocks []block) {
	t.Helper()
	if len(blocks) != 1 || blocks[0].kind != "sh" {
		t.Fatalf("want one block before the exercises: %v", blocks)
	}
	cmd := exec.Command("sh", "-ec", blocks[0].text)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "GOBIN="+bin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// follow is a reader who types what the blocks of an exercise say.
func follow(t *testing.T, bin string, blocks []block) {
	// Where the reader has 8080, a test has a port of its own.
	const documented = "127.0.0.1:8080"
	address := freeAddress(t)

	dir := t.TempDir()
	cmd := exec.Command("sh")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + t.TempDir(), "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	printed := newOutput()
	cmd.Stdout, cmd.Stderr = printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and whatever it started
		_ = cmd.Wait()                                      // killed
	})

	typed := 0
	for i, b := range blocks {
		switch b.kind {
		case "yaml":
			write(t, dir, "merlon.yaml", strings.ReplaceAll(b.text, documented, address))
		case "sh":
			before := len(printed.String())
			end := fmt.Sprintf("<end of block %d>", i)
			command := strings.ReplaceAll(b.text, documented, address)
			if _, err := fmt.Fprintf(stdin, "%s\nprintf '\\n%%s' '%s'\n", demoAt(command, address), end); err != nil {
				t.Fatal(err)
			}
			got := until(t, printed, before, end, b)
			want := ""
			if i+1 < len(blocks) && blocks[i+1].kind == "text" {
				want = strings.ReplaceAll(blocks[i+1].text, documented, address)
			}
			if !shows(want, got) {
				t.Errorf("docs/tutorial.md:%d:\n%s\nprinted\n%s\nand the page shows\n%s", b.line, b.text, got, want)
			}
			typed++
		case "text":
			if i == 0 || blocks[i-1].kind != "sh" {
				t.Errorf("docs/tutorial.md:%d: nothing was typed for this output", b.line)
			}
		case "go": // compiled elsewhere
		default:
			t.Errorf("docs/tutorial.md:%d: a block of %s", b.line, b.kind)
		}
	}
	if typed < 5 {
		t.Errorf("%d blocks were typed", typed)
	}
}

// freeAddress returns an address that is free, and below the ports that systems give
// to whoever asks for any, such as the other tests.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(10000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// demoAt makes a demo, and who asks it for its health, use the address of the test.
func demoAt(command, address string) string {
	command = strings.ReplaceAll(command, "merlon demo ", "merlon demo --listen "+address+" ")
	return strings.ReplaceAll(command, "merlon health 2>", "merlon health --url http://"+address+" 2>")
}

// until waits for the end of what a block prints, and returns that.
func until(t *testing.T, o *output, from int, end string, b block) string {
	t.Helper()
	deadline := time.After(2 * patience)
	for {
		text, more := o.snapshot()
		if got, ok := strings.CutSuffix(text[from:], "\n"+end); ok {
			return strings.ReplaceAll(got, "\r\n", "\n")
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("docs/tutorial.md:%d: still running:\n%s\n%s", b.line, b.text, text[from:])
		}
	}
}

// shows reports whether the output is what is shown, where … stands for a part of a
// line, and alone for lines.
func shows(shown, output string) bool {
	expression := ""
	for line := range strings.Lines(shown) {
		if line == "…\n" {
			expression += `(?:.*\n)*?`
			continue
		}
		expression += strings.ReplaceAll(regexp.QuoteMeta(strings.TrimRight(line, " \n")), "…", `.*`) + ` *\n`
	}
	output = string(bytes.TrimRight([]byte(output), "\n"))
	if output != "" {
		output += "\n"
	}
	return regexp.MustCompile(`^` + expression + `$`).MatchString(output)
}

// An ellipsis stands for what it says, and for no more.
func TestShownOutputIsCompared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shown, output string
		want          bool
	}{
		{"200\n", "200\n", true}, {"200\n", "200", true}, {"200\n", "201\n", false}, {"200\n", "200\n200\n", false}, {"200\n", "", false},
		{"", "", true}, {"", "an error\n", false}, {"a.c\n", "abc\n", false},
		{"id …!\n", "id 7!\n", true}, {"id …!\n", "id 7\n", false}, {"id …\n", "id 7\nmore\n", false},
		{"a\n…\nz\n", "a\nz\n", true}, {"a\n…\nz\n", "a\nb\nc\nz\n", true}, {"a\n…\nz\n", "a\nb\n", false},
	} {
		if got := shows(tt.shown, tt.output); got != tt.want {
			t.Errorf("%q shows %q: %v, want %v", tt.shown, tt.output, got, tt.want)
		}
	}
}
