// Command merlon is the service: accounts, sessions, API keys, CSRF tokens and
// security events for HTTP APIs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/merlonhq/merlon/server"
)

// version is set by the linker of packagers; otherwise the build tells.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends in order; the second, whoever is impatient, at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], console{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// console is what a command reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
}

func (c console) log() *slog.Logger { return slog.New(slog.NewTextHandler(c.err, nil)) }

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // what was asked for did not succeed
	exitUsage  = 2 // the command line or the settings are wrong; nothing was started
)

// exit is an error with an exit code. What there was to say has been said.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

type commands struct {
	Demo    demoCommand    `cmd:"" help:"Serve everything on embedded stores, with a sample API, to try it out."`
	Serve   serveCommand   `cmd:"" help:"Serve by a configuration."`
	Users   usersCommand   `cmd:"" help:"Manage accounts."`
	Migrate migrateCommand `cmd:"" help:"Tell of the database's migrations, or apply them."`
	Check   checkCommand   `cmd:"" help:"Say what is wrong or weak about the settings."`
	Config  configCommand  `cmd:"" help:"Print the settings, or write a file to begin with."`
	Secrets secretsCommand `cmd:"" help:"Make secrets."`
	Tokens  tokensCommand  `cmd:"" help:"Rotate the keys that sign access tokens."`
	Events  eventsCommand  `cmd:"" help:"Read security events, and verify their log."`
	Health  healthCommand  `cmd:"" help:"Ask a running server whether it is ready: exit 0 if it is, 1 if not."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// run runs one command and returns its exit code.
func run(ctx context.Context, args []string, c console) int {
	var cmds commands
	exited := -1
	parser, err := kong.New(&cmds,
		kong.Name("merlon"),
		kong.Description("The security layer for HTTP APIs."),
		kong.Writers(c.out, c.err),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(helpWithExamples),
		kong.UsageOnError(),
	)
	if err != nil {
		fmt.Fprintln(c.err, "merlon:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(c.err, "merlon: %s\nRun merlon --help for the commands.\n", usageError(args, err))
		return exitUsage
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	err = parsed.Run(c)
	code := exit(0)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(c.err, "merlon:", err)
	if errors.Is(err, server.ErrSettings) {
		return exitUsage
	}
	return exitFailed
}

// usageError says what is wrong with the command line. Where a password belongs on
// standard input, one that was written on the command line is not printed again.
func usageError(args []string, err error) string {
	text := err.Error()
	if args[0] != "users" {
		return text
	}
	for _, before := range []string{" but got ", "unexpected argument "} {
		if i := strings.Index(text, before); i >= 0 {
			return text[:i] + strings.TrimRight(before, " ") + " (not shown: the password is read from standard input)"
		}
	}
	return text
}

// exampled is a command whose help ends with examples.
type exampled interface{ examples() string }

func helpWithExamples(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	node := ctx.Selected()
	if node == nil || !node.Target.CanAddr() {
		return nil
	}
	if e, ok := node.Target.Addr().Interface().(exampled); ok {
		_, err := fmt.Fprint(ctx.Stdout, "\n"+e.examples())
		return err
	}
	return nil
}

type versionCommand struct{}

func (versionCommand) Run(c console) error {
	_, err := fmt.Fprintln(c.out, "merlon", buildVersion())
	return err
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
