package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/merlonhq/merlon/server"
)

type checkCommand struct {
	Config string `help:"Check the settings of this YAML file, with those of the environment." placeholder:"FILE" type:"path"`
	Format string `help:"text for people, json for scripts, sarif (2.1.0) for code scanning." default:"text" enum:"text,json,sarif"`
	FailOn string `help:"The least severity that fails: low, medium, high or critical." default:"medium" enum:"low,medium,high,critical"`
}

func (checkCommand) examples() string {
	return `Examples:
  merlon check --config /etc/merlon/merlon.yaml
  merlon check --config merlon.yaml --fail-on high
  merlon check --config merlon.yaml --format sarif

The environment counts as it does for merlon serve. The certificate and the modes of
the files that are named are looked at; nothing is started or changed.

What check.silence names is shown with its reason and its last day, and does not fail.

A server that runs makes the same check at a reload and takes over what passes. A change of
these takes a restart:
` + wrapped(server.RestartSettings()) + `

Exit codes: 0 when nothing of that severity or worse was found, 1 when something was,
2 when the file cannot be read or is not YAML.
`
}

// wrapped returns the words in indented lines of about 80 characters.
func wrapped(words []string) string {
	var b strings.Builder
	at := 0
	for _, w := range words {
		if at > 0 && at+1+len(w) > 80 {
			b.WriteString("\n")
			at = 0
		}
		if at == 0 {
			b.WriteString(" ")
			at = 1
		}
		b.WriteString(" " + w)
		at += 1 + len(w)
	}
	return b.String()
}

func (cmd checkCommand) Run(c console) error {
	_, found := server.CheckSettings(server.Source{File: cmd.Config, Environ: os.Environ()})
	r := report{file: cmd.Config, failOn: cmd.FailOn, found: found}
	var err error
	switch cmd.Format {
	case "json":
		err = r.json(c.out)
	case "sarif":
		err = r.sarif(c.out)
	default:
		err = r.text(c.out, isTerminal(c.out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
	}
	switch {
	case err != nil:
		return err
	case !server.Parsed(found):
		return exit(exitUsage)
	case r.fails() > 0:
		return exit(exitFailed)
	}
	return nil
}

// isTerminal reports whether w is a terminal, or another device of characters.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// report is what a check found.
type report struct {
	file   string
	failOn string
	found  []server.Problem // the worst first
}

// fails counts what is bad enough to fail.
func (r report) fails() int {
	n := 0
	for _, p := range r.found {
		if p.Silenced == nil && p.AtLeast(r.failOn) {
			n++
		}
	}
	return n
}

// silenced counts what is borne for a time.
func (r report) silenced() int {
	n := 0
	for _, p := range r.found {
		if p.Silenced != nil {
			n++
		}
	}
	return n
}

// counts returns how many of each severity there are, but for what is silenced.
func (r report) counts() map[string]int {
	out := map[string]int{}
	for _, s := range server.Severities() {
		out[s] = 0
	}
	for _, p := range r.found {
		if p.Silenced == nil {
			out[p.Severity]++
		}
	}
	return out
}

// colours of the severities, by what a terminal calls them (ECMA-48, SGR).
var colours = map[string]string{"critical": "1;31", "high": "31", "medium": "33", "low": "36"}

// width is that of a line, of which the text begins at the indent.
const width, indent = 96, 10

func (r report) text(w io.Writer, coloured bool) error {
	var b strings.Builder
	for _, p := range r.found {
		severity := p.Severity
		lines := [][2]string{{"", p.Message}, {"why  ", p.Why}, {"fix  ", p.Fix}, {"see  ", p.Help}}
		if p.Silenced != nil {
			lines = append([][2]string{{"", "Silenced until " + p.Silenced.Until + ": " + p.Silenced.Reason}}, lines...)
		} else if coloured {
			severity = "\x1b[" + colours[severity] + "m" + severity + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%s%s%s  %s\n", severity, strings.Repeat(" ", indent-len(p.Severity)), p.ID, plain(p.Where))
		for _, line := range lines {
			lead := strings.Repeat(" ", indent) + line[0]
			for _, part := range wrap(plain(line[1]), width-len(lead)) {
				b.WriteString(lead + part + "\n")
				lead = strings.Repeat(" ", len(lead))
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString(r.summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r report) summary() string {
	if len(r.found) == 0 {
		return "Nothing found."
	}
	var parts []string
	counts := r.counts()
	for _, s := range slices.Backward(server.Severities()) {
		if counts[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[s], s))
		}
	}
	if n := r.silenced(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d silenced", n))
	}
	verdict := "none fails"
	if n := r.fails(); n > 0 {
		verdict = fmt.Sprintf("%d at %s or above", n, r.failOn)
	}
	return fmt.Sprintf("Found %s: %s.", strings.Join(parts, ", "), verdict)
}

// plain keeps control characters of names and paths from the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' {
			return '\ufffd'
		}
		return r
	}, s)
}

// wrap breaks s at spaces into lines of at most n bytes, where words allow it.
func wrap(s string, n int) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && len(line)+1+len(word) > n {
			out, line = append(out, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(out, line)
}
