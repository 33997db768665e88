// Command node is `merlon serve` with two modules: the blog, and routes that touch no store.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/merlonhq/merlon/examples/blog"
	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/module"
)

func main() {
	config := flag.String("config", "", "the settings")
	listen := flag.String("listen", "", "listen here instead of where the settings say")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, server.Source{File: *config, Listen: *listen, Environ: os.Environ()}); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, src server.Source) (err error) {
	set, problems := server.LoadSettings(src)
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if server.Fatal(problems) {
		return errors.New("the settings are wrong")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	srv, err := server.New(ctx, server.Config{Settings: set, Modules: []module.Module{blog.Module(), still()}, Version: "chaos", Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, srv.Close()) }()
	if err := srv.Listen(); err != nil {
		return err
	}
	log.Info("serving", "address", srv.Addr(), "operations", srv.OperationsAddr())
	return srv.Serve(ctx)
}
