// Package servertest starts the service for tests, as a Go team needs it to test
// its own modules: on a free port, on a data directory that goes with the test.
package servertest

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/merlonhq/merlon/server"
	"github.com/merlonhq/merlon/server/module"
)

// Start serves a demo with the modules until the test ends, and returns its sample
// credentials and its data directory. An end that is not orderly fails the test.
func Start(t testing.TB, modules ...module.Module) (samples server.Samples, dir string) {
	t.Helper()
	dir = t.TempDir()
	set, problems, err := server.DemoSettings(dir, "127.0.0.1:0")
	if err != nil || server.Fatal(problems) {
		t.Fatal(err, problems)
	}
	return serve(t, set, modules), dir
}

// StartOn is [Start] on a database of the caller's, such as a PostgreSQL server that a
// test started.
func StartOn(t testing.TB, databaseURL string, modules ...module.Module) (samples server.Samples) {
	t.Helper()
	set, problems := server.LoadSettings(server.Source{
		Listen: "127.0.0.1:0",
		Environ: []string{
			"MERLON_ENVIRONMENT=development", "MERLON_DATABASE_URL=" + databaseURL,
			"MERLON_AUDIT__LOG=" + filepath.Join(t.TempDir(), "security.log"),
		},
		Open: func(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist },
	})
	if server.Fatal(problems) {
		t.Fatal(problems)
	}
	return serve(t, set, modules)
}

func serve(t testing.TB, set server.Settings, modules []module.Module) (samples server.Samples) {
	t.Helper()
	srv, err := server.New(t.Context(), server.Config{
		Settings: set, Modules: modules, Version: "test",
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := srv.Listen(); err != nil {
		t.Fatal(err)
	}
	if samples, err = srv.SeedDemo(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ctx) }()
	t.Cleanup(func() { // before the one above
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return samples
}
