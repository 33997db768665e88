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
	Create  usersCreateCommand  `cmd:"" help:"Create an account. Works while a server is running."`
	Disable usersDisableCommand `cmd:"" help:"End an account's sessions, tokens and API keys, and let it in no more. Works while a server is running."`
	Enable  usersEnableCommand  `cmd:"" help:"Let an account in again, with another password. Works while a server is running."`
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
	password, err := readPassword(c)
	if err != nil {
		return err
	}
	id, err := server.CreateUser(ctx, set, server.NewUser{
		Username: cmd.Username, Email: cmd.Email, Role: cmd.Role, Password: password,
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

// readPassword reads the first line of standard input.
func readPassword(c console) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(c.in, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

type usersDisableCommand struct {
	Username string `help:"The account." required:""`
	Config   string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
}

func (usersDisableCommand) examples() string {
	return `Example:
  merlon users disable --config /etc/merlon/merlon.yaml --username ada

Its sessions, refresh tokens and API keys are gone, and do not come back with
merlon users enable.

Exit codes: 0 done, 1 not done, 2 when the command line or the settings are wrong.
`
}

func (cmd usersDisableCommand) Run(ctx context.Context, c console) error {
	set, err := settings(c, server.LoadSettings, server.Source{File: cmd.Config})
	if err != nil {
		return err
	}
	return told(server.DisableUser(ctx, set, cmd.Username))
}

type usersEnableCommand struct {
	Username      string `help:"The account." required:""`
	PasswordStdin bool   `help:"Read its new password from standard input: its first line." required:""`
	Config        string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
}

func (usersEnableCommand) examples() string {
	return `Example:
  merlon users enable --config /etc/merlon/merlon.yaml --username ada --password-stdin < password.txt

Exit codes: 0 done, 1 not done, 2 when the command line or the settings are wrong.
`
}

func (cmd usersEnableCommand) Run(ctx context.Context, c console) error {
	set, err := settings(c, server.LoadSettings, server.Source{File: cmd.Config})
	if err != nil {
		return err
	}
	password, err := readPassword(c)
	if err != nil {
		return err
	}
	return told(server.EnableUser(ctx, set, cmd.Username, password))
}

// told names what is missing in the words of the command line.
func told(err error) error {
	if errors.Is(err, server.ErrUserNotFound) {
		return errors.New("there is no account with this username")
	}
	return err
}
