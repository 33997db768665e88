package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/merlonhq/merlon/internal/uuid7"
)

// maxUnsigned is how many lines of a chain may follow one checkpoint before the next:
// one that is further away was taken out.
const maxUnsigned = 1000

// A chain is what a File knows of the chain that it writes.
type chain struct {
	node string
	signer
	interval time.Duration

	last     link   // of the last line
	signed   uint64 // the seq of the last checkpoint
	signedAt time.Time
	made     []Event // checkpoints that Checkpoint has not returned
}

func newChain(cfg FileConfig) (*chain, error) {
	node, err := makeNodeID(cfg.Path)
	if err != nil {
		return nil, err
	}
	by, err := newSigner(cfg.ChainSecret, node)
	if err != nil {
		return nil, err
	}
	return &chain{node: node, signer: by, interval: cfg.CheckpointInterval}, nil
}

// A signer signs checkpoints.
type signer struct {
	keyID string
	key   ed25519.PrivateKey
}

func newSigner(secret []byte, node string) (signer, error) {
	key, err := NodeKey(secret, node)
	if err != nil {
		return signer{}, err
	}
	return signer{KeyID(key.Public().(ed25519.PublicKey)), key}, nil
}

// SetChainSecret changes the secret that the key of checkpoints is made of: the next one
// is signed with the new key, and covers what none covers yet. It may be called while the
// file is written, and does nothing where there is no chain.
func (f *File) SetChainSecret(secret []byte) error {
	if f.node == "" {
		return nil
	}
	by, err := newSigner(secret, f.node)
	if err != nil {
		return err
	}
	f.resigned.Store(&by)
	return nil
}

// current returns the chain as what is written next finds it.
func (f *File) current() chain {
	c := *f.chain
	if by := f.resigned.Load(); by != nil {
		c.signer = *by
	}
	return c
}

// due reports whether there is something that no checkpoint covers, and it is time.
func (c *chain) due(now time.Time) bool {
	return c.last.seq > c.signed && now.Sub(c.signedAt) >= c.interval
}

// appendLines appends lines as the next ones of the chain, with checkpoints between
// where they are due. c is what it will be when they are written.
func (c *chain) appendLines(dst []byte, batch []Event, lines [][]byte, now time.Time) []byte {
	for i, line := range lines {
		if c.last.seq-c.signed >= maxUnsigned {
			dst = c.appendCheckpoint(dst, Checkpoint{Reason: byInterval}, now)
		}
		if n := len(line); n < 2 || line[0] != '{' || line[n-1] != '}' {
			line = AppendJSON(nil, batch[i]) // no line of a pipeline; an event is not refused
		}
		dst, c.last = appendLinked(dst, line, c.last)
		dst = append(dst, '\n')
	}
	return dst
}

func (c *chain) appendCheckpoint(dst []byte, made Checkpoint, now time.Time) []byte {
	now = now.UTC().Truncate(time.Microsecond)
	made.ID, made.Node, made.Key = "evt_"+uuid7.New(now), c.node, c.keyID
	made.Seq, made.Hash = c.last.seq, c.last.hash.String()
	e := made.signed(c.key, now)
	dst, c.last = appendLinked(dst, AppendJSON(nil, e), c.last)
	c.signed, c.signedAt = c.last.seq, now
	// A copy, so that a chain that is given up leaves no trace in the one before.
	c.made = append(c.made[:len(c.made):len(c.made)], e)
	return append(dst, '\n')
}

// Checkpoint implements [Checkpointer]. Without a ChainSecret there are none.
func (f *File) Checkpoint(ctx context.Context, final bool) ([]Event, error) {
	if f.chain == nil {
		return nil, nil
	}
	if f.closed {
		return nil, errSinkClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var err error
	if now := f.now(); f.chain.due(now) || final && f.chain.last.seq > f.chain.signed {
		reason := byInterval
		if final {
			reason = byShutdown
		}
		err = f.writeCheckpoint(reason)
	}
	made := f.chain.made
	f.chain.made = nil
	return made, err
}

func (f *File) writeCheckpoint(reason string) error {
	size, err := f.ready(0)
	if err != nil {
		return err
	}
	next := f.current()
	f.buf = next.appendCheckpoint(f.buf[:0], Checkpoint{Reason: reason}, f.now())
	return f.append(size, next)
}

// resume finds where the chain goes on in file, which is open to append, and names
// what a crash left at its end. With errForeign the file is no part of the chain.
func (f *File) resume(file *os.File) error {
	size, err := fileSize(file)
	if err != nil {
		return err
	}
	end, err := chainEnd(file, size)
	if err != nil {
		return err
	}
	c := *f.chain
	if c.signedAt.IsZero() {
		c.signedAt = f.now()
	}
	switch {
	case end.last.seq > c.last.seq:
		c.last, c.signed = end.last, end.signed
	case c.last.seq == 0: // a new file of a log that may be older
		before, err := f.lastRotated()
		if err != nil {
			return err
		}
		c.last, c.signed = before.last, before.signed
	}
	if end.open {
		if _, err := file.Write([]byte{'\n'}); err != nil {
			return err
		}
	}
	if len(end.torn) > 0 {
		sum := digest(sha256.Sum256(end.torn))
		line := c.appendCheckpoint([]byte{'\n'}, Checkpoint{Reason: byTorn, TornBytes: int64(len(end.torn)), TornHash: sum.String()}, f.now())
		if _, err = file.Write(line); err == nil {
			err = file.Sync()
		}
		if err != nil {
			return err // the next open finds more that is torn
		}
		f.torn = true
	}
	f.chain = &c
	return nil
}

// errForeign: the file does not end in a line of the chain, nor in one that is torn.
var errForeign = errors.New("its end is not of the chain")

// ending is how a file of a chain ends.
type ending struct {
	last   link   // of the last whole line; zero when there is none
	signed uint64 // the seq of the last checkpoint, 0 when none is near
	torn   []byte // what follows the last whole line, when it ends in half a line
	open   bool   // only the newline is missing
}

// tailWindow is how much of a file is looked at from its end: more than the longest
// line, and the rests of several crashes.
const tailWindow = 256 << 10

func chainEnd(r io.ReaderAt, size int64) (ending, error) {
	window := make([]byte, min(size, tailWindow))
	if _, err := r.ReadAt(window, size-int64(len(window))); err != nil && !errors.Is(err, io.EOF) {
		return ending{}, err
	}
	return endOf(window, int64(len(window)) == size)
}

// endOf reads the ending of text, which is all of a file or what is at its end.
func endOf(text []byte, all bool) (end ending, err error) {
	rest := len(text) // where what is not of the chain begins
	for stop := len(text); stop > 0; {
		line := text[:stop]
		whole := line[stop-1] == '\n'
		if whole {
			line = line[:stop-1]
		}
		start := bytes.LastIndexByte(line, '\n') + 1
		line = line[start:]
		if start == 0 && !all {
			break // where the line begins is not to be seen
		}
		l, intact, ok := parseLink(line)
		switch {
		case ok && intact:
			if end.last.seq == 0 {
				end.last, end.open, rest = l, !whole, stop
			}
			if _, ok := ParseCheckpoint(line); ok {
				end.signed = l.seq
				stop = 0
				continue
			}
		case end.last.seq > 0: // broken, but not at the end: what verifying is for
			stop = 0
			continue
		case whole && stop == len(text), whole && json.Valid(line): // somebody wrote this
			return ending{}, errForeign
		}
		stop = start
	}
	switch {
	case end.last.seq > 0:
		end.torn = text[rest:]
	case len(text) > 0 && all:
		end.torn = text
	case len(text) > 0:
		return ending{}, errForeign
	}
	return end, nil
}

// lastRotated returns how the newest rotated file ends: in nothing when there is
// none, or it is not of a chain.
func (f *File) lastRotated() (ending, error) {
	rotated, err := f.rotated()
	if err != nil || len(rotated) == 0 {
		return ending{}, err
	}
	newest, err := OpenLog(f.rotatedPath(rotated[len(rotated)-1]))
	if err != nil {
		return ending{}, err
	}
	defer newest.Close()
	tail, all, err := readTail(newest, tailWindow)
	if err != nil {
		return ending{}, fmt.Errorf("read the newest rotated file: %w", err)
	}
	end, err := endOf(tail, all)
	if err != nil {
		return ending{}, nil // it was written before there was a chain
	}
	return end, nil
}

// readTail reads r to its end and returns the last n bytes, or all.
func readTail(r io.Reader, n int) (tail []byte, all bool, err error) {
	all = true
	buf := make([]byte, 64<<10)
	for {
		m, err := r.Read(buf)
		tail = append(tail, buf[:m]...)
		if len(tail) > 2*n {
			tail, all = append(tail[:0], tail[len(tail)-n:]...), false
		}
		if errors.Is(err, io.EOF) {
			return tail, all, nil
		}
		if err != nil {
			return nil, false, err
		}
	}
}

func fileSize(file *os.File) (int64, error) {
	fi, err := file.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}
