package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/merlonhq/merlon/server"
)

type serveCommand struct {
	Config string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
	Listen string `help:"Listen here instead of where the settings say." placeholder:"ADDR"`
	Watch  bool   `help:"Reload when the settings file, a secret's file or the certificate changes." default:"true" negatable:""`
}

func (serveCommand) examples() string {
	return `Example:
  merlon serve --config /etc/merlon/merlon.yaml

SIGHUP reads settings, secrets and certificate again, and puts them in force as a
whole or not at all; so does a change of their files, unless --no-watch is given.

Exit codes: 0 after an orderly end, 1 when serving failed, 2 when the settings are
wrong, the certificate among them, or a finding is critical in production: every
problem is printed, and every finding that is not low; nothing was started.
`
}

func (cmd serveCommand) Run(ctx context.Context, c console) error {
	// From the first moment, so that an early one does not end the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	set, err := settings(c, server.CheckSettings, server.Source{File: cmd.Config, Listen: cmd.Listen})
	if err != nil {
		return err
	}
	srv, err := server.New(ctx, server.Config{Settings: set, Version: buildVersion(), Log: c.log()})
	if err != nil {
		return err
	}
	err = srv.Listen()
	if err == nil {
		if address := srv.RedirectAddr(); address != "" {
			c.log().Info("redirecting clear text to https", "address", address)
		}
		if address := srv.OperationsAddr(); address != "" {
			c.log().Info("serving metrics", "address", address)
		}
		c.log().Info("serving", "version", buildVersion(), "address", srv.Addr(), "environment", set.Environment())
		told := notifyOfLife(ctx, c.log())
		err = cmd.serve(ctx, srv, hangups)
		told()
	}
	return errors.Join(err, srv.Close())
}

// watchInterval is how often the files are looked at. What has changed is taken over when
// it has been the same for two looks.
const watchInterval = 2 * time.Second

// againInterval is how long after a reload that failed for want of the database the next
// one is tried.
const againInterval = 30 * time.Second

// serve serves until ctx ends, and reloads at each hangup and when files have changed.
func (cmd serveCommand) serve(ctx context.Context, srv *server.Server, hangups <-chan os.Signal) error {
	ended := make(chan struct{})
	var reloads sync.WaitGroup
	reloads.Go(func() {
		src := server.Source{File: cmd.Config, Listen: cmd.Listen, Environ: os.Environ()}
		watch := srv.Watch(src)
		var looks <-chan time.Time // never, without --watch
		if cmd.Watch {
			tick := time.NewTicker(watchInterval)
			defer tick.Stop()
			looks = tick.C
		}
		var again <-chan time.Time
		reload := func() {
			again = nil
			if err := srv.Reload(ctx, src); errors.Is(err, server.ErrLater) { // the log says why not
				again = time.After(againInterval)
			}
		}
		for {
			select {
			case <-ended:
				return
			case <-hangups:
				reload()
			case <-again:
				reload()
			case <-looks:
				if watch.Changed() {
					reload()
				}
			}
		}
	})
	err := srv.Serve(ctx)
	close(ended)
	reloads.Wait() // nothing is recorded after Close
	return err
}

// settings loads the settings and prints every problem on a line of its own, but for
// findings that are low: merlon check tells those. What is silenced is logged.
func settings(c console, load func(server.Source) (server.Settings, []server.Problem), src server.Source) (server.Settings, error) {
	src.Environ = os.Environ()
	set, problems := load(src)
	for _, p := range problems {
		switch {
		case p.Silenced != nil:
			c.log().Warn("a finding is silenced", "id", p.ID, "severity", p.Severity, "where", p.Where, "until", p.Silenced.Until, "reason", p.Silenced.Reason)
		case p.AtLeast("medium"):
			fmt.Fprintln(c.err, p)
		}
	}
	if server.Fatal(problems) {
		return set, exit(exitUsage)
	}
	return set, nil
}
