package main

import (
	"github.com/merlonhq/merlon/server"
)

type secretsCommand struct {
	Generate secretsGenerateCommand `cmd:"" help:"Print a new secret key, or write it to a file."`
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
