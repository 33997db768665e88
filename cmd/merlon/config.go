package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/merlonhq/merlon/server"
)

type configCommand struct {
	Print configPrintCommand `cmd:"" help:"Print the settings in force, secrets redacted."`
	Init  configInitCommand  `cmd:"" help:"Write a settings file for production, every setting with its meaning and default."`
}

type configPrintCommand struct {
	Config string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
	JSON   bool   `name:"json" help:"Print them as JSON instead of YAML."`
}

func (configPrintCommand) examples() string {
	return `Examples:
  merlon config print --config /etc/merlon/merlon.yaml
  merlon config print --config merlon.yaml --json

What is wrong is told on standard error; a setting with a problem is printed with its
default. Every secret that is set is printed as [redacted].

Exit codes: 0 for any file that can be read and is YAML, 2 for others.
`
}

func (cmd configPrintCommand) Run(c console) error {
	set, problems := server.LoadSettings(server.Source{File: cmd.Config, Environ: os.Environ()})
	for _, p := range problems {
		fmt.Fprintln(c.err, p)
	}
	if !server.Parsed(problems) {
		return exit(exitUsage)
	}
	text := set.YAML()
	if cmd.JSON {
		var err error
		if text, err = set.JSON(); err != nil {
			return err
		}
		text = append(text, '\n')
	}
	_, err := c.out.Write(text)
	return err
}

type configInitCommand struct {
	Output string `help:"Write to this new file instead of standard output." placeholder:"FILE" type:"path"`
}

func (configInitCommand) examples() string {
	return `Examples:
  merlon config init
  merlon config init --output merlon.yaml

Exit codes: 0 written, 1 not written: a file that exists is never changed.
`
}

func (cmd configInitCommand) Run(c console) error {
	return writeOut(c, cmd.Output, server.SettingsTemplate())
}

// writeOut writes text to a new file of its owner, or to standard output.
func writeOut(c console, path string, text []byte) error {
	if path == "" {
		_, err := c.out.Write(text)
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and was not changed: name another file, or remove it", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // half a file is none
	}
	return nil
}
