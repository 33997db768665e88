package main

import (
	"context"
	"fmt"
	"time"

	"github.com/merlonhq/merlon/server"
)

type tokensCommand struct {
	Rotate tokensRotateCommand `cmd:"" help:"Make a new key that signs access tokens. Works while servers are running."`
}

type tokensRotateCommand struct {
	Config string        `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
	Notice time.Duration `help:"How long before it signs the key is published, 0s to 720h: longer than others keep the keys that they have fetched." default:"24h"`
	Leaked bool          `help:"A key has leaked: the new one signs at once, and all others are deleted."`
	JSON   bool          `name:"json" help:"Print the key as JSON."`
}

func (tokensRotateCommand) examples() string {
	return `Examples:
  merlon tokens rotate --config /etc/merlon/merlon.yaml
  merlon tokens rotate --leaked --config /etc/merlon/merlon.yaml

Servers see the new key within a minute, or at SIGHUP. Tokens of the keys before it are
good until they end; with --leaked they are refused from then on, and apps renew them
with their refresh tokens.

Exit codes: 0 rotated, 1 not rotated, 2 when the command line or the settings are wrong.
`
}

func (cmd tokensRotateCommand) Run(ctx context.Context, c console) error {
	set, err := settings(c, server.LoadSettings, server.Source{File: cmd.Config})
	if err != nil {
		return err
	}
	key, err := server.RotateTokenKeys(ctx, set, cmd.Notice, cmd.Leaked)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return encode(c.out, key)
	}
	_, err = fmt.Fprintf(c.out, "%s signs from %s\n", key.ID, key.SignsFrom.Format(time.RFC3339))
	if err == nil && cmd.Leaked {
		_, err = fmt.Fprintf(c.out, "%d other keys are deleted\n", key.Removed)
	}
	return err
}
