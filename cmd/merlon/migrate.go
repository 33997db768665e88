package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/merlonhq/merlon/server"
)

type migrateCommand struct {
	Status migrateStatusCommand `cmd:"" help:"List the migrations and whether they are applied. Changes nothing."`
	Up     migrateUpCommand     `cmd:"" help:"Apply the migrations that are new, as serve does at its start. Works while servers are running."`
}

type migrateStatusCommand struct {
	Config string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
	JSON   bool   `name:"json" help:"Print them as JSON."`
}

func (migrateStatusCommand) examples() string {
	return `Example:
  merlon migrate status --config /etc/merlon/merlon.yaml

Exit codes: 0 nothing is pending, 1 something is pending or the database cannot be
read or is of a newer version, 2 when the settings are wrong.
`
}

func (cmd migrateStatusCommand) Run(ctx context.Context, c console) error {
	all, err := migrations(ctx, c, cmd.Config, server.Migrations)
	if err != nil {
		return err
	}
	if err := printMigrations(c.out, all, cmd.JSON); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(m server.Migration) bool { return !m.Applied }) {
		return exit(exitFailed)
	}
	return nil
}

type migrateUpCommand struct {
	Config string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
	DryRun bool   `help:"List what would be applied, and apply nothing."`
	JSON   bool   `name:"json" help:"Print what was applied as JSON."`
}

func (migrateUpCommand) examples() string {
	return `Examples:
  merlon migrate up --dry-run --config /etc/merlon/merlon.yaml
  merlon migrate up --config /etc/merlon/merlon.yaml

Exit codes: 0 nothing is pending any more, or with --dry-run what is pending is listed;
1 a migration failed, and those before it are applied; 2 when the settings are wrong.
`
}

func (cmd migrateUpCommand) Run(ctx context.Context, c console) error {
	do := server.Migrate
	if cmd.DryRun {
		do = server.Migrations
	}
	list, err := migrations(ctx, c, cmd.Config, do)
	if cmd.DryRun {
		list = slices.DeleteFunc(list, func(m server.Migration) bool { return m.Applied })
	}
	if err != nil && len(list) == 0 {
		return err
	}
	if printErr := printMigrations(c.out, list, cmd.JSON); err == nil {
		err = printErr
	}
	return err
}

func migrations(ctx context.Context, c console, file string, do func(context.Context, server.Config) ([]server.Migration, error)) ([]server.Migration, error) {
	set, err := settings(c, server.LoadSettings, server.Source{File: file})
	if err != nil {
		return nil, err
	}
	return do(ctx, server.Config{Settings: set, Version: buildVersion(), Log: c.log()})
}

func printMigrations(out io.Writer, list []server.Migration, asJSON bool) error {
	if asJSON {
		return encode(out, struct {
			Migrations []server.Migration `json:"migrations"`
		}{append([]server.Migration{}, list...)})
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "nothing is pending")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, m := range list {
		state := "pending"
		if m.Applied {
			state = "applied"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", state, m.Set, m.File)
	}
	return w.Flush()
}
