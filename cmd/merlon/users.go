package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/merlonhq/merlon/server"
)

type usersCommand struct {
	Create usersCreateCommand `cmd:"" help:"Create an account. Works while a server is running."`
}

type usersCreateCommand struct {
	Username      string `help:"3 to 50 characters of a-z, 0-9, dot, underscore and hyphen." required:""`
	Email         string `help:"The e-mail address of the account." required:""`
	Role          string `help:"user or admin." default:"user" enum:"user,admin"`
	PasswordStdin bool   `help:"Read the password from standard input: its first line." required:""`
	Config        string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
}

func (usersCreateCommand) examples() string {
	return `Example:
  merlon users create --username ada --email ada@example.com --role admin --password-stdin < password.txt

Exit codes: 0 created, 1 not created, 2 when the command line or the settings are wrong.
`
}

// maxPassword bounds what is read; the policy says what is too long.
const maxPassword = 8 << 10

func (cmd usersCreateCommand) Run(ctx context.Context, c console) error {
	set, err := settings(c, server.LoadSettings, server.Source{File: cmd.Config})
	if err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(c.in, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the password: %w", err)
	}
	id, err := server.CreateUser(ctx, set, server.NewUser{
		Username: cmd.Username, Email: cmd.Email, Role: cmd.Role, Password: strings.TrimRight(line, "\r\n"),
	})
	if errors.Is(err, server.ErrUserExists) {
		return errors.New("there is an account with this username or e-mail address")
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, id)
	return err
}
