package image_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A runLine is what docs/operating.md says of running the image. What these tests do
// is taken from it.
type runLine struct {
	env    []string
	mounts []string // the paths inside, with :ro
	port   string   // inside
	exec   []string // the command of docker exec
}

func documented(t *testing.T) runLine {
	t.Helper()
	text, err := os.ReadFile("../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh\n(docker build.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/operating.md does not tell how to run the image")
	}
	commands := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(block[1]), "\\\n", " ")), "\n")
	if len(commands) != 3 {
		t.Fatalf("want docker build, run and exec: %q", commands)
	}
	var out runLine
	words := strings.Fields(commands[1])
	confined, stop := 0, ""
	for i := 2; i < len(words)-1; i++ {
		switch word := words[i]; word {
		case "-d":
		case "--read-only":
			confined++
		case "--stop-timeout":
			i++
			stop = words[i]
		case "--cap-drop", "--security-opt", "--name", "-p", "-v", "-e":
			i++
			value := words[i]
			switch word + " " + value {
			case "--cap-drop ALL", "--security-opt no-new-privileges":
				confined++
			}
			_, inside, _ := strings.Cut(value, ":")
			switch word {
			case "-p":
				out.port = inside
			case "-v":
				out.mounts = append(out.mounts, inside)
			case "-e":
				out.env = append(out.env, value)
			}
		default:
			t.Fatalf("docker run has %s, which is not understood", word)
		}
	}
	if seconds, err := strconv.Atoi(stop); err != nil || seconds < 5+20+15 {
		t.Errorf("docker stop waits for %q s: want drain_time, the 20 s that requests have, and 15 s for traces and events", stop)
	}
	if confined != 3 || len(out.env) == 0 {
		t.Errorf("docker run does not confine the container as it is tested: %s", commands[1])
	}
	command, _, _ := strings.Cut(commands[2], " <")
	words = strings.Fields(command)
	if !slices.Equal(words[:4], []string{"docker", "exec", "-i", "merlon"}) {
		t.Fatalf("want docker exec: %q", words)
	}
	out.exec = words[4:]
	return out
}
