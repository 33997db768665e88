package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"github.com/merlonhq/merlon/bench"
)

// heapBallast is a server's own data. Without it the garbage collector would run
// every few milliseconds where contestants hold little.
const heapBallast = 64 << 20

// setUp is what a child says of each of its contestants first.
type setUp struct {
	BytesPerKey float64
	WorstInsert int64
}

// serveChild makes contestants, and for each byte it reads lets the one of that
// number do its work once.
func serveChild(procs int, contest string, names []string) error {
	runtime.GOMAXPROCS(procs)
	out := json.NewEncoder(os.Stdout)
	instances, sizes := make([]*bench.Instance, len(names)), make([]int, len(names))
	for i, name := range names {
		c, err := bench.Find(contest, name)
		if err != nil {
			return err
		}
		if instances[i], err = c.New(procs); err != nil {
			return err
		}
		if err := out.Encode(setUp{instances[i].BytesPerKey, instances[i].WorstInsert}); err != nil {
			return err
		}
	}
	ballast := make([]byte, heapBallast)
	defer runtime.KeepAlive(ballast)
	for i, in := range instances {
		sizes[i] = in.Size(turnCPU.Nanoseconds())
	}
	runtime.GC()
	word := make([]byte, 1)
	for {
		if _, err := os.Stdin.Read(word); err != nil {
			return nil // the parent is done
		}
		if err := out.Encode(instances[word[0]].Run(sizes[word[0]])); err != nil {
			return err
		}
	}
}

// process is a child with one contestant or more.
type process struct {
	cmd    *exec.Cmd
	word   io.WriteCloser
	answer *json.Decoder
}

// contestant is one of a process.
type contestant struct {
	name   string
	in     *process
	number byte

	setUp  setUp
	rounds []bench.Round
	best   float64 // nanoseconds per operation in the best turn
}

func start(procs int, contest string, names ...string) (*process, []*contestant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	p := &process{cmd: exec.Command(self, append([]string{childArg, strconv.Itoa(procs), contest}, names...)...)}
	p.cmd.Stderr = os.Stderr
	if p.word, err = p.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	p.answer = json.NewDecoder(out)
	begin := p.cmd.Start
	if procs == 1 {
		begin = func() error { return bench.OnOneProcessor(p.cmd.Start) }
	}
	if err := begin(); err != nil {
		return nil, nil, err
	}
	var cs []*contestant
	for i, name := range names {
		c := &contestant{name: name, in: p, number: byte(i)}
		if err := p.answer.Decode(&c.setUp); err != nil {
			p.stop()
			return nil, nil, fmt.Errorf("%s: %s: no set-up: %w", contest, name, err)
		}
		cs = append(cs, c)
	}
	return p, cs, nil
}

// turn lets c do its work once more and adds that to its last round.
func (c *contestant) turn() error {
	if _, err := c.in.word.Write([]byte{c.number}); err != nil {
		return err
	}
	var r bench.Round
	if err := c.in.answer.Decode(&r); err != nil {
		return fmt.Errorf("%s: no answer: %w", c.name, err)
	}
	c.rounds[len(c.rounds)-1].Add(r)
	if ns := r.NanosPerOp(); c.best == 0 || ns < c.best {
		c.best = ns
	}
	return nil
}

func (p *process) stop() {
	_ = p.word.Close()
	_ = p.cmd.Wait()
}
