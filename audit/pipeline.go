package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/merlonhq/merlon/internal/uuid7"
)

// maxBatch is how many events a sink gets at once, at most.
const maxBatch = 512

// Config says where the events of a [Pipeline] go.
type Config struct {
	// Sinks are where events are written. At least one must not be optional. The first
	// that is not has the order of the log; every other has a queue and a goroutine of its
	// own, so that one that is dead, slow or flapping touches no other. A committed event
	// goes to the next one when the one before has it, and to the optional ones last.
	Sinks []Output
	// Queue is how many events may wait to be written, and for each sink how many
	// it may be behind while it fails: 1 to 1,048,576, default 8192. An event
	// takes about 1 KiB.
	Queue int
	// Wait says for how long, at most, [Pipeline.Record] waits for room in a full queue
	// before it drops an event of the category: up to 100 ms. No more than 64 callers wait
	// at once. Categories that are not named do not wait: their events are dropped and
	// counted at once. What must not be lost is committed, which is refused instead.
	Wait map[Category]time.Duration
	// Privacy changes what says who somebody is, before anything is written. Nil leaves it.
	Privacy *Privacy
	// FlushInterval is how long a batch may gather, which is how long a recorded
	// event may be lost by a crash: 1 ms to 500 ms, default 20 ms. A committed
	// event does not wait for it.
	FlushInterval time.Duration
	// WriteTimeout is how long one write to a sink may take: 1 ms to 1 minute,
	// default 2 s.
	WriteTimeout time.Duration
	// Now is the clock that dates events without a time; default [time.Now].
	Now func() time.Time
	// NewID makes the id of an event of the instant t; default "evt_" and a
	// UUIDv7. It is called from one goroutine.
	NewID func(t time.Time) string
	// ErrorLog is told once when a sink stops to work, and once when it works again;
	// default [slog.Default].
	ErrorLog *slog.Logger
}

// An Output is a sink with what the pipeline must know of it.
type Output struct {
	// Name is what errors, statistics and events call the sink: "file", "database".
	Name string
	// Sink is where events are written. The pipeline closes it.
	Sink Sink
	// Optional is set for a sink that [Pipeline.Commit] does not wait for.
	Optional bool
	// Filter, when it is set, says which recorded events the sink gets. Committed events it
	// gets whatever Filter says, and the checkpoints of other sinks are asked for like
	// recorded events.
	Filter func(Event) bool
	// Spool, when it is set, is a file that keeps what the sink misses while it fails and
	// memory has no room for, up to 256 MiB, until it works again. Only this pipeline
	// may use it.
	Spool string
	// SpoolOnly are the categories that the spool is for. Of the others, what memory has no
	// room for is lost at once, and counted. Nil is all.
	SpoolOnly []Category
}

// Stats counts the events of a pipeline since its start.
type Stats struct {
	// Recorded is how many events of callers were taken into the queue.
	Recorded uint64
	// Dropped is how many events of callers were not, because the queue was full
	// or the pipeline closed, or were withdrawn because the caller of Commit gave up.
	Dropped uint64
	// Queued is how many events are in the queue now.
	Queued int
	// Failed is how many events a sink did not get and will not get, summed over the sinks.
	Failed uint64
	// Sinks has the same for each sink, in the order of Config.Sinks.
	Sinks []SinkStats
}

// SinkStats counts the events of one sink.
type SinkStats struct {
	Name string
	// Sent is how many events were for the sink: after its filter, with what an earlier run
	// left in its spool. Each is then Written, Failed, Spooled, or waits in memory for a
	// moment; when the pipeline is closed, the three are all.
	Sent uint64
	// Written is how many events the sink has. The pipeline's own (about lost
	// events and sinks that failed) are among them.
	Written uint64
	// Failed is how many events it did not get and will not get.
	Failed uint64
	// Spooled is how many events wait on disk for it.
	Spooled uint64
	// Down is set while writes fail.
	Down bool
}

// A Pipeline is a [Recorder] that writes events to sinks, in the order in which
// they were recorded, in batches. One write, one sync and one
// transaction serve all the events of a batch (group commit).
//
// A sink that fails is tried again after 100 ms, then at growing intervals up to 1 s,
// and gets what it missed as far as Config.Queue reaches. The other sinks are
// written meanwhile. Failure and recovery are events of their own (sys_degraded and
// sys_recovered), and so are drops.
type Pipeline struct {
	now   func() time.Time
	newID func(time.Time) string
	flush time.Duration
	wait  map[Category]time.Duration
	limit int
	who   atomic.Pointer[Privacy]

	first              *output   // the first required one, which the writer writes to
	required, optional []*feed   // the others
	outputs            []*output // as configured

	wake    chan struct{} // something is in the queue
	urgent  chan struct{} // somebody waits for it, or it is a full batch
	closing chan struct{}
	done    chan struct{} // the writer has ended, closeErr is set

	ctx      context.Context // ends when Close gives up
	cancel   context.CancelFunc
	closeErr error

	mu       sync.Mutex
	queue    []item
	room     chan struct{} // closed when the queue was emptied; nil when nobody waits
	waiting  int
	closed   bool
	recorded uint64
	dropped  uint64

	untold loss // dropped since the last event that told so

	spare    []item // the writer's: the queue before this one, two take turns
	lineSize int    // the writer's: about the longest line so far
}

var _ Recorder = (*Pipeline)(nil)

// An item is an event on its way.
type item struct {
	event  Event
	line   []byte
	commit *commit // nil: recorded, nobody waits
}

// A commit is a caller of Commit who waits.
type commit struct {
	done      chan error  // has room for the one answer
	withdrawn atomic.Bool // the caller was told no, or went away
}

// New starts a pipeline. Its goroutine ends with [Pipeline.Close].
func New(cfg Config) (*Pipeline, error) {
	cfg.Queue = orDefault(cfg.Queue, 8192)
	cfg.FlushInterval = orDefault(cfg.FlushInterval, 20*time.Millisecond)
	cfg.WriteTimeout = orDefault(cfg.WriteTimeout, 2*time.Second)
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Pipeline{
		now: cfg.Now, newID: cfg.NewID, flush: cfg.FlushInterval, limit: cfg.Queue, wait: maps.Clone(cfg.Wait),
		wake:    make(chan struct{}, 1),
		urgent:  make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	p.who.Store(cfg.Privacy)
	if p.now == nil {
		p.now = time.Now
	}
	if p.newID == nil {
		p.newID = func(t time.Time) string { return "evt_" + uuid7.New(t) }
	}
	log := cfg.ErrorLog
	if log == nil {
		log = slog.Default()
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for _, c := range cfg.Sinks {
		o := &output{name: c.Name, sink: c.Sink, filter: c.Filter, spoolOnly: c.SpoolOnly, limit: cfg.Queue, ctx: p.ctx, timeout: cfg.WriteTimeout, log: log,
			tell: p.tell, spread: p.spread}
		if c.Spool != "" {
			var err error
			if o.spool, err = openSpool(c.Spool); err != nil {
				for _, o := range p.outputs {
					err = errors.Join(err, o.spool.close())
				}
				p.cancel()
				return nil, err
			}
		}
		if o.spool != nil {
			o.sent.Store(o.spool.waiting.Load())
		}
		p.outputs = append(p.outputs, o)
		switch {
		case c.Optional:
			f := newFeed(o)
			f.optional = true
			f.passed = func([]item) {}
			f.refused = func([]item, error) {} // nobody waits any more
			p.optional = append(p.optional, f)
		case p.first == nil:
			p.first = o
		default:
			f, after := newFeed(o), len(p.required)+1
			f.passed = func(committed []item) { p.pass(after, committed) }
			f.refused = func(committed []item, err error) { p.refuse(after, committed, err) }
			p.required = append(p.required, f)
		}
	}
	for _, f := range slices.Concat(p.required, p.optional) {
		signal(f.wake) // for what an earlier run left in the spool
		go f.run()
	}
	signal(p.wake)
	go p.run()
	return p, nil
}

func (cfg Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("audit: "+format, args...)) }
	if cfg.Queue < 1 || cfg.Queue > 1<<20 {
		bad("Queue is %d: must be 1 to 1048576 events", cfg.Queue)
	}
	if cfg.FlushInterval < time.Millisecond || cfg.FlushInterval > 500*time.Millisecond {
		bad("FlushInterval is %v: must be 1ms to 500ms", cfg.FlushInterval)
	}
	if cfg.WriteTimeout < time.Millisecond || cfg.WriteTimeout > time.Minute {
		bad("WriteTimeout is %v: must be 1ms to 1m", cfg.WriteTimeout)
	}
	for category, d := range cfg.Wait {
		if d < 0 || d > maxWait {
			bad("Wait[%q] is %v: must be 0 to %v", category, d, maxWait)
		}
	}
	required := false
	names := map[string]bool{}
	for i, o := range cfg.Sinks {
		if o.Name == "" {
			bad("Sinks[%d] has no Name: give it one, such as %q", i, "file")
		} else if names[o.Name] {
			bad("Sinks[%d].Name is %q as another's: give each its own", i, o.Name)
		}
		names[o.Name] = true
		if o.Sink == nil {
			bad("Sinks[%d].Sink is nil: set it or leave the entry out", i)
		}
		required = required || !o.Optional
	}
	if !required {
		bad("no sink that is not Optional: a committed event must be kept somewhere")
	}
	return errors.Join(errs...)
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Record takes e and returns at once. What does not fit into the queue is
// counted in [Stats].Dropped, and an event says so when there is room again. An event
// without a type is ignored. Record keeps no memory of e.
func (p *Pipeline) Record(e Event) {
	if e.Type != "" {
		_ = p.put(e, nil) // counted
	}
}

// Commit takes e and returns when every sink that is not optional has it. Any error is
// an [ErrNotRecorded], and what caused it: the end of ctx, a full queue, a closed
// pipeline, or the error of the sink. Then no sink that does not have the
// event already will get it.
//
// Commits may fill the queue to twice its size: a flood of recorded events does not
// keep an administrator from acting.
func (p *Pipeline) Commit(ctx context.Context, e Event) error {
	if e.Type == "" {
		return fmt.Errorf("%w: it has no type", ErrNotRecorded)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, context.Cause(ctx))
	}
	c := &commit{done: make(chan error, 1)}
	if err := p.put(e, c); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		c.withdrawn.Store(true)
		return fmt.Errorf("%w: %w", ErrNotRecorded, context.Cause(ctx))
	}
}

// Stats returns what was counted so far.
func (p *Pipeline) Stats() Stats {
	p.mu.Lock()
	s := Stats{Recorded: p.recorded, Dropped: p.dropped, Queued: len(p.queue)}
	p.mu.Unlock()
	for _, o := range p.outputs {
		one := SinkStats{Name: o.name, Sent: o.sent.Load(), Written: o.written.Load(), Failed: o.failed.Load(), Down: o.down.Load()}
		if o.spool != nil {
			one.Spooled = o.spool.waiting.Load()
		}
		s.Failed += one.Failed
		s.Sinks = append(s.Sinks, one)
	}
	return s
}

// Close writes what is in the queue, closes the sinks and returns their errors.
// From its start on nothing more is taken. When ctx ends first, the write
// that is under way is told to end, the rest is counted as failed, and the
// error says so.
func (p *Pipeline) Close(ctx context.Context) error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.mu.Unlock()
	if first {
		close(p.closing)
	}
	select {
	case <-p.done:
		return p.closeErr
	case <-ctx.Done():
		p.cancel()
		return fmt.Errorf("audit: closed before every event was written: %w", context.Cause(ctx))
	}
}

var (
	errQueueFull = errors.New("the queue is full")
	errClosed    = errors.New("the pipeline is closed")
)

// SetPrivacy changes how clients and accounts stand in what is written from now on,
// such as when the secret of the hashes is rotated.
func (p *Pipeline) SetPrivacy(who *Privacy) { p.who.Store(who) }
