package audit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/merlonhq/merlon/audit"
)

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestWriterSinkWritesABatchAtOnce(t *testing.T) {
	var calls []string
	s := audit.NewWriterSink(writerFunc(func(b []byte) (int, error) {
		calls = append(calls, string(b))
		return len(b), nil
	}))
	write(t, s, "a", "b")
	if len(calls) != 1 || calls[0] != "a\nb\n" {
		t.Errorf("calls %q", calls)
	}
}

func TestWriterSinkClosesHalfALine(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int // bytes that the writer takes of "aa\nbb\n"
		err  error
		want string
	}{
		{"nothing written", 0, errBroken, "c\n"},
		{"half a line written", 4, errBroken, "aa\nb\nc\n"},
		{"whole lines written", 3, errBroken, "aa\nc\n"},
		{"short without an error", 1, nil, "a\nc\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got bytes.Buffer
			ill := true
			s := audit.NewWriterSink(writerFunc(func(b []byte) (int, error) {
				if ill {
					got.Write(b[:c.n])
					return c.n, c.err
				}
				return got.Write(b)
			}))
			want := c.err
			if want == nil {
				want = io.ErrShortWrite
			}
			if err := tryWrite(t, s, "aa", "bb"); !errors.Is(err, want) {
				t.Errorf("Write: %v, want %v", err, want)
			}
			ill = false
			write(t, s, "c")
			if got.String() != c.want {
				t.Errorf("wrote %q, want %q", got.String(), c.want)
			}
		})
	}
}

func TestWriterSinkGivesUpOnAReaderThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s := audit.NewWriterSink(w)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Write(ctx, make([]audit.Event, 1), [][]byte{[]byte("a")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write to a reader that stalls: %v", err)
		}
		if err := tryWrite(t, s, "b"); err == nil {
			t.Error("Write while it stalls: no error")
		}
		var got bytes.Buffer
		go io.Copy(&got, r)
		synctest.Wait()
		write(t, s, "b")
		_ = w.Close()
		synctest.Wait()
		if got.String() != "a\nb\n" {
			t.Errorf("wrote %q", got.String())
		}
	})
}
