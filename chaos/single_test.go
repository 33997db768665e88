//go:build unix

package chaos_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/e2e/postgrestest"
	"github.com/merlonhq/merlon/internal/redistest"
)

// A single is one node and its stores, with a meter in between or without.
type single struct {
	load     *load
	node     *member
	postgres *postgrestest.Server
	redis    *redistest.Server
	meter    *meter // nil for none
	url      string // of the database
}

func startSingle(t *testing.T, metered bool) single {
	t.Helper()
	s := single{postgres: postgrestest.Start(t), redis: redistest.Start(t), node: newMember(t, 0)}
	s.url = s.postgres.Database(t)
	url := s.url
	if metered {
		s.meter = newMeter(t, s.postgres.Address)
		url = strings.Replace(url, s.postgres.Address, s.meter.addr, 1)
	}
	write(t, s.node.config(), settings(url, s.redis.Addr, rand.Text()+rand.Text()))
	s.node.createAdmin(t)
	s.node.start(t, "127.0.0.1:0")
	s.load = newLoad(&cluster{nodes: [nodes]*member{s.node, s.node, s.node}}, 1)
	return s
}
