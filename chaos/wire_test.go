//go:build unix

package chaos_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// A meter stands between a node and PostgreSQL and counts what is asked, by the protocol (PostgreSQL, "Message
// Formats"): each Execute and each simple Query is a statement; the server answers after each Sync and each simple
// Query, so these are the round trips.
type meter struct {
	addr                        string
	statements, trips, prepared atomic.Int64
}

func newMeter(t *testing.T, upstream string) *meter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	m := &meter{addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go m.carry(client, upstream)
		}
	}()
	return m
}

func (m *meter) carry(client net.Conn, upstream string) {
	defer client.Close()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server) // ends with either
		client.Close()
	}()
	in := bufio.NewReader(client)
	for first := true; ; first = false {
		head := make([]byte, 5)
		if first { // the startup message has no type
			head = head[:4]
		}
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		if !first {
			m.count(head[0])
		}
		rest := int64(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
		if _, err := server.Write(head); err != nil {
			return
		}
		if _, err := io.CopyN(server, in, rest); err != nil {
			return
		}
	}
}

func (m *meter) count(kind byte) {
	switch kind {
	case 'Q':
		m.statements.Add(1)
		m.trips.Add(1)
	case 'E':
		m.statements.Add(1)
	case 'S':
		m.trips.Add(1)
	case 'P':
		m.prepared.Add(1)
	}
}
