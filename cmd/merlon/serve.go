package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/merlonhq/merlon/server"
)

type serveCommand struct {
	Config string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
	Listen string `help:"Listen here instead of where the settings say." placeholder:"ADDR"`
}

func (serveCommand) examples() string {
	return `Example:
  merlon serve --config /etc/merlon/merlon.yaml

Exit codes: 0 after an orderly end, 1 when serving failed, 2 when the settings are
wrong, the certificate among them (every problem is printed, nothing was started).
`
}

func (cmd serveCommand) Run(ctx context.Context, c console) error {
	set, err := settings(c, server.Source{File: cmd.Config, Listen: cmd.Listen}, server.CheckCertificate)
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
		c.log().Info("serving", "version", buildVersion(), "address", srv.Addr(), "environment", set.Environment())
		err = srv.Serve(ctx)
	}
	return errors.Join(err, srv.Close())
}

// settings loads the settings, checks what the command needs beside them, and prints
// every problem on a line of its own.
func settings(c console, src server.Source, checks ...func(server.Settings) []server.Problem) (server.Settings, error) {
	src.Environ = os.Environ()
	set, problems := server.LoadSettings(src)
	for _, check := range checks {
		problems = append(problems, check(set)...)
	}
	for _, p := range problems {
		fmt.Fprintln(c.err, p)
	}
	if server.Fatal(problems) {
		return set, exit(exitUsage)
	}
	return set, nil
}
