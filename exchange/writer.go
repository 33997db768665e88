package exchange

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// writer notes the status of the answer and keeps it free of what it must not
// carry. It lives inside the exchange, so wrapping costs no allocation.
type writer struct {
	http.ResponseWriter
	x       *Exchange
	status  int // 0 until the final status is out
	crashed bool
}

// Unwrap is for [http.ResponseController].
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader notes the status and drops headers that tell what the server is
// made of (OWASP Secure Headers Project, "prevent information disclosure").
func (w *writer) WriteHeader(status int) {
	if (status >= 200 || status == http.StatusSwitchingProtocols) && w.status == 0 {
		w.status = status
		h := w.Header()
		w.x.dropLeaks(h)
		if h["Set-Cookie"] != nil {
			// A cookie in a shared cache is a session for whoever asks next.
			w.x.SetHeader("Cache-Control", "no-store")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the server send files without copying them through user space.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return io.Copy(w.ResponseWriter, src)
}

// Flush is [writer.FlushError] for those who look for an [http.Flusher].
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError sends what is buffered, where the server supports it. It is what
// [http.ResponseController] calls.
func (w *writer) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack takes over the connection, where the server supports it.
func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && w.status == 0 {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}
