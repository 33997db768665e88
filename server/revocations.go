package server

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/merlonhq/merlon/revocation"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// follow makes the watch that tells what other processes revoked: other nodes, and commands beside this one. Caches
// are used while its last look began less than a second ago.
func (s *Server) follow(db *sqlstore.DB) (err error) {
	s.revocations, err = revocation.New(revocation.Config{Log: db.Revocations(), Forget: s.forget, ForgetAll: s.forgetAll})
	return err
}

// forget drops what is cached of one change. Sessions and families of tokens are read for each request.
func (s *Server) forget(c revocation.Change) {
	switch c.Kind {
	case revocation.Key:
		s.keys.Forget(c.Name)
	case revocation.Account:
		s.accounts.Forget(c.Name)
	}
}

func (s *Server) forgetAll() {
	s.keys.ForgetAll()
	s.accounts.ForgetAll()
}

// revoked tells other nodes that something changed here.
func (s *Server) revoked() { s.broadcast.tell() }

// following looks, and tells and is told of what is new, until ctx ends.
func (s *Server) following(ctx context.Context) error {
	var both errgroup.Group
	if s.broadcast != nil {
		both.Go(func() error { return s.broadcast.run(ctx) })
	}
	both.Go(func() error { s.revocations.Run(ctx); return nil })
	return both.Wait()
}
