package image_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// A step is one instruction of a Dockerfile.
type step struct {
	op    string
	flags map[string]string // --name=value
	text  string            // what follows
	argv  []string          // the words of text, or its JSON list
	exec  bool              // text is a JSON list
}

// A dockerfile is what the image is made by: two stages.
type dockerfile struct {
	builder    string // the image of the build stage
	build      []step
	copies     []step // of the final stage
	user, dir  string
	volume     string
	port       string
	health     []string
	timing     map[string]string // of the health check
	entrypoint []string
	cmd        []string
	env        []string
}

// parse reads a Dockerfile of the form that these tests understand, and refuses
// everything else: what they do not understand, they do not test.
func parse(text string) (dockerfile, error) {
	var d dockerfile
	steps, err := instructions(text)
	if err != nil {
		return d, err
	}
	if len(steps) == 0 || steps[0].op != "FROM" || len(steps[0].argv) != 3 || steps[0].argv[1] != "AS" || steps[0].argv[2] != "build" {
		return d, fmt.Errorf("want FROM image AS build first")
	}
	d.builder = steps[0].argv[0]
	final := slices.IndexFunc(steps[1:], func(s step) bool { return s.op == "FROM" }) + 1
	if final == 0 || steps[final].text != "scratch" {
		return d, fmt.Errorf("want FROM scratch as the second and last stage")
	}
	d.build = steps[1:final]
	for _, s := range d.build {
		known := s.op == "ARG" || s.op == "WORKDIR" || s.op == "COPY" || s.op == "RUN"
		if !known || len(s.flags) > 0 {
			return d, fmt.Errorf("the build stage has %s %s, which is not understood", s.op, s.text)
		}
	}
	return d, d.final(steps[final+1:])
}

func (d *dockerfile) final(steps []step) error {
	one := map[string]*string{"USER": &d.user, "WORKDIR": &d.dir, "VOLUME": &d.volume, "EXPOSE": &d.port}
	lists := map[string]*[]string{"ENTRYPOINT": &d.entrypoint, "CMD": &d.cmd, "HEALTHCHECK": &d.health}
	for _, s := range steps {
		allowed := []string{}
		switch {
		case s.op == "COPY" && len(s.argv) == 2 && s.flags["from"] == "build":
			allowed = []string{"from", "chown"}
			d.copies = append(d.copies, s)
		case s.op == "ENV" && len(s.argv) == 1 && strings.Contains(s.text, "="):
			d.env = append(d.env, s.text)
		case one[s.op] != nil && *one[s.op] == "" && len(s.argv) == 1 && !s.exec:
			*one[s.op] = s.text
		case lists[s.op] != nil && *lists[s.op] == nil && s.exec:
			*lists[s.op] = s.argv
			if s.op == "HEALTHCHECK" {
				allowed = []string{"interval", "timeout", "start-period", "retries"}
				d.timing = s.flags
			}
		default:
			return fmt.Errorf("the final stage has %s %s, which is not understood", s.op, s.text)
		}
		for name := range s.flags {
			if !slices.Contains(allowed, name) {
				return fmt.Errorf("%s has --%s, which is not understood", s.op, name)
			}
		}
	}
	for op, at := range one {
		if *at == "" {
			return fmt.Errorf("the final stage has no %s", op)
		}
	}
	for op, at := range lists {
		if len(*at) == 0 {
			return fmt.Errorf("the final stage has no %s", op)
		}
	}
	return nil
}

// instructions returns the instructions of a Dockerfile in order.
func instructions(text string) ([]step, error) {
	var steps []step
	var line string
	for raw := range strings.Lines(text) {
		raw = strings.TrimSpace(raw)
		if strings.HasPrefix(raw, "#") || raw == "" {
			continue
		}
		if head, more := strings.CutSuffix(raw, `\`); more {
			line += head
			continue
		}
		s, err := instruction(line + raw)
		if err != nil {
			return nil, err
		}
		steps, line = append(steps, s), ""
	}
	if line != "" {
		return nil, fmt.Errorf("the last instruction has no end: %s", line)
	}
	return steps, nil
}

func instruction(line string) (step, error) {
	op, rest, _ := strings.Cut(line, " ")
	s := step{op: op, flags: map[string]string{}, text: strings.TrimSpace(rest)}
	if op != strings.ToUpper(op) {
		return s, fmt.Errorf("%q is no instruction", op)
	}
	for strings.HasPrefix(s.text, "--") {
		flag, after, _ := strings.Cut(s.text, " ")
		name, value, ok := strings.Cut(strings.TrimPrefix(flag, "--"), "=")
		if !ok || s.flags[name] != "" {
			return s, fmt.Errorf("%s: flag %s", op, flag)
		}
		s.flags[name], s.text = value, strings.TrimSpace(after)
	}
	if op == "HEALTHCHECK" {
		after, ok := strings.CutPrefix(s.text, "CMD ")
		if !ok {
			return s, fmt.Errorf("HEALTHCHECK without CMD")
		}
		s.text = strings.TrimSpace(after)
	}
	if strings.HasPrefix(s.text, "[") {
		s.exec = true
		return s, json.Unmarshal([]byte(s.text), &s.argv)
	}
	s.argv = strings.Fields(s.text)
	return s, nil
}

func readDockerfile(t *testing.T) dockerfile {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	d, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What is not understood is not passed over.
func TestTheDockerfileHasNoInstructionThatIsNotTested(t *testing.T) {
	text, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"another base":               strings.Replace(good, "FROM scratch", "FROM debian:12", 1),
		"a command in the image":     good + "RUN id\n",
		"a copy from the context":    good + "COPY image/etc /etc\n",
		"a copy from the network":    good + "ADD https://example.com/x /x\n",
		"a mode at the copy":         strings.Replace(good, "COPY --from=build /out/merlon", "COPY --from=build --chmod=4755 /out/merlon", 1),
		"a second user":              good + "USER 0:0\n",
		"a shell for the entrypoint": strings.Replace(good, `ENTRYPOINT ["/merlon"]`, "ENTRYPOINT /merlon", 1),
		"no user":                    strings.Replace(good, "USER 65532:65532\n", "", 1),
		"a health check by a shell":  strings.Replace(good, `CMD ["/merlon", "health", "--config", "/etc/merlon/merlon.yaml"]`, "CMD /merlon health", 1),
		"no health check":            good + "HEALTHCHECK NONE\n",
		"a label":                    good + "LABEL a=b\n",
		"a mount at the build":       strings.Replace(good, "RUN CGO_ENABLED=0", "RUN --mount=type=secret,id=x CGO_ENABLED=0", 1),
		"a third stage":              good + "FROM scratch\n",
	} {
		if bad == good {
			t.Errorf("%s: the Dockerfile was not changed", name)
		}
		if _, err := parse(bad); err == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}

func TestTheHealthCheckOfTheImageAnswersWithinItsTimeOut(t *testing.T) {
	d := readDockerfile(t)
	if want := map[string]string{"interval": "30s", "timeout": "10s", "start-period": "30s", "retries": "3"}; !maps.Equal(d.timing, want) {
		t.Errorf("the health check has %v, want %v", d.timing, want)
	}
	// The command gives up after five seconds, and says why.
	if timeout, err := time.ParseDuration(d.timing["timeout"]); err != nil || timeout <= 5*time.Second {
		t.Errorf("%v: --timeout=%s, want more than 5s", err, d.timing["timeout"])
	}
}

// What rarely changes comes first, so that a change of the source fetches nothing.
func TestModulesAreFetchedBeforeTheSourceIsCopied(t *testing.T) {
	var order []string
	for _, s := range readDockerfile(t).build {
		if text := s.op + " " + s.text; s.op == "COPY" || text == "RUN go mod download" {
			order = append(order, text)
		}
	}
	if want := []string{"COPY go.mod go.sum ./", "RUN go mod download", "COPY . ."}; !slices.Equal(order, want) {
		t.Errorf("the build stage has %q, want %q", order, want)
	}
}
