package audit

import (
	"context"
	"errors"
	"io"
)

// errBusy is the error of a write while an earlier one has not come back.
var errBusy = errors.New("audit: the stream is still busy with an earlier write")

// A WriterSink is a [Sink] that writes JSON lines to an [io.Writer], such as
// standard output. An event counts as kept when the writer took it.
type WriterSink struct {
	w      io.Writer
	result chan error // of the write under way
	busy   bool
	torn   bool
	closed bool
	buf    []byte
}

var _ Sink = (*WriterSink)(nil)

// NewWriterSink returns a sink that writes to w, one call of w.Write for each batch.
// A reader that stalls holds up nobody but this sink. The sink does not close w.
func NewWriterSink(w io.Writer) *WriterSink {
	return &WriterSink{w: w, result: make(chan error, 1)}
}

// Write writes lines. When ctx ends first it returns the error of ctx, and the
// lines may still be written.
func (s *WriterSink) Write(ctx context.Context, _ []Event, lines [][]byte) error {
	if s.closed {
		return errSinkClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(lines) == 0 {
		return nil
	}
	if s.busy {
		select {
		case <-s.result: // told as failed already, whatever it is
			s.busy = false
		default:
			return errBusy
		}
	}
	s.buf = s.buf[:0]
	if s.torn {
		s.buf = append(s.buf, '\n')
	}
	for _, line := range lines {
		s.buf = append(append(s.buf, line...), '\n')
	}
	s.busy = true
	go s.write(s.buf)
	select {
	case err := <-s.result:
		s.busy = false
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write writes buf, which is its own until it sent the result.
func (s *WriterSink) write(buf []byte) {
	n, err := s.w.Write(buf)
	if err == nil && n < len(buf) {
		err = io.ErrShortWrite
	}
	// Half a line that is written is closed by the next write.
	if n > 0 {
		s.torn = n < len(buf) && buf[n-1] != '\n'
	}
	s.result <- err
}

// Close does nothing but to end the sink. It may be called twice.
func (s *WriterSink) Close() error {
	s.closed = true
	return nil
}
