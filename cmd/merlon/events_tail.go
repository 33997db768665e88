package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/merlonhq/merlon/server"
)

type eventsTailCommand struct {
	Lines  int    `short:"n" help:"How many of the last events to begin with: 0 to 10000." default:"10"`
	Follow bool   `short:"f" help:"Wait for more, over rotations, until interrupted."`
	JSON   bool   `name:"json" help:"Print the lines as they are."`
	Config string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
}

func (eventsTailCommand) examples() string {
	return `Examples:
  merlon events tail --config merlon.yaml --follow
  merlon events tail --config merlon.yaml -n 100 --json

Exit codes: 0 done or interrupted, 1 the log cannot be read, 2 when the command line or
the settings are wrong.
`
}

func (cmd eventsTailCommand) Run(ctx context.Context, c console) error {
	if cmd.Lines < 0 || cmd.Lines > 10_000 {
		fmt.Fprintf(c.err, "merlon: --lines is %d: must be 0 to 10000\n", cmd.Lines)
		return exit(exitUsage)
	}
	set, err := settings(c, server.LoadSettings, server.Source{File: cmd.Config})
	if err != nil {
		return err
	}
	path := set.EventLog()
	if path == "" {
		return errors.New("audit.log is empty: there is no file to read")
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	t := tailer{path: path, print: newEventPrinter(c.out, cmd.JSON), file: file}
	defer func() { _ = t.file.Close() }() // it was read only
	if err := t.last(cmd.Lines); err != nil || !cmd.Follow {
		return err
	}
	return t.follow(ctx)
}

// tailer prints the events of a log as they come.
type tailer struct {
	path  string
	print eventPrinter
	file  *os.File
	r     *bufio.Reader
	half  []byte // a line that is not at its end yet
}

// last prints the last n lines.
func (t *tailer) last(n int) error {
	ring := make([][]byte, 0, n)
	t.r = bufio.NewReaderSize(t.file, 64<<10)
	for {
		line, err := t.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if n > 0 {
			if len(ring) == n {
				ring = ring[1:]
			}
			ring = append(ring, bytes.Clone(line))
		}
	}
	for _, line := range ring {
		if err := t.print.print(line); err != nil {
			return err
		}
	}
	return nil
}

// line returns the next whole line. [io.EOF] says that there is none yet.
func (t *tailer) line() ([]byte, error) {
	for {
		part, err := t.r.ReadSlice('\n')
		if len(t.half) < 1<<20 {
			t.half = append(t.half, part...)
		}
		switch {
		case err == nil:
			line := bytes.TrimSuffix(t.half, []byte{'\n'})
			t.half = t.half[:0]
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

const tailPause = 200 * time.Millisecond

func (t *tailer) follow(ctx context.Context) error {
	for {
		line, err := t.line()
		switch {
		case err == nil:
			if err := t.print.print(line); err != nil {
				return err
			}
			continue
		case !errors.Is(err, io.EOF):
			return err
		}
		if t.moved() {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tailPause):
		}
	}
}

// moved goes on with the new file when the log was rotated or cut, and reports whether it was.
func (t *tailer) moved() bool {
	here, err := t.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(t.path)
	if err != nil {
		return false // between the two files
	}
	at, err := t.file.Seek(0, io.SeekCurrent)
	if os.SameFile(here, there) && (err != nil || there.Size() >= at) {
		return false
	}
	if here.Size() > at && !os.SameFile(here, there) {
		return true // what was written just before
	}
	next, err := os.Open(t.path)
	if err != nil {
		return false
	}
	_ = t.file.Close() // it was read only
	t.file, t.half = next, nil
	t.r.Reset(next)
	return true
}
