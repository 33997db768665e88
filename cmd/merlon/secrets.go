package main

import (
	"context"
	"fmt"

	"github.com/merlonhq/merlon/server"
)

type secretsCommand struct {
	Generate secretsGenerateCommand `cmd:"" help:"Print a new secret key, or write it to a file."`
	Adopt    secretsAdoptCommand    `cmd:"" help:"Make the secret key of the settings that of the database, when the one before is lost."`
}

type secretsGenerateCommand struct {
	Output string `help:"Write it to this new file, for its owner only, instead of standard output." placeholder:"FILE" type:"path"`
	JSON   bool   `name:"json" help:"Print {\"secret_key\": ...} instead of the key alone."`
}

func (secretsGenerateCommand) examples() string {
	return `Examples:
  merlon secrets generate --output secret_key
  merlon secrets generate --json

The key is 260 random bits in 52 characters, for secret_key. Name the file in
MERLON_SECRET_KEY_FILE, or mount it as /run/secrets/secret_key.

Exit codes: 0 written, 1 not written: a file that exists is never changed.
`
}

func (cmd secretsGenerateCommand) Run(c console) error {
	key := server.GenerateSecretKey()
	if cmd.JSON {
		return encode(c.out, struct {
			SecretKey string `json:"secret_key"`
		}{key})
	}
	return writeOut(c, cmd.Output, []byte(key+"\n"))
}

type secretsAdoptCommand struct {
	Config string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
}

func (secretsAdoptCommand) examples() string {
	return `Example:
  merlon secrets adopt --config /etc/merlon/merlon.yaml

For a secret_key that is lost, or has leaked. One that is known to you alone is not
replaced like this: move it to secret_key_previous. Stop all servers first. The signing keys that neither secret_key
nor secret_key_previous opens are deleted: access tokens and CSRF tokens that were given
out end, and browsers are new devices. Sessions, refresh tokens and API keys go on.

Exit codes: 0 adopted, or there was nothing to do; 1 not; 2 when the settings are wrong.
`
}

func (cmd secretsAdoptCommand) Run(ctx context.Context, c console) error {
	set, err := settings(c, server.LoadSettings, server.Source{File: cmd.Config})
	if err != nil {
		return err
	}
	n, err := server.AdoptSecret(ctx, set)
	if err != nil {
		return err
	}
	if n == 0 {
		_, err = fmt.Fprintln(c.out, "every signing key is of this secret_key already")
	} else {
		_, err = fmt.Fprintf(c.out, "deleted %d signing keys of another secret_key\n", n)
	}
	return err
}
